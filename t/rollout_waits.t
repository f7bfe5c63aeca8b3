#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# What a rollout waits for: evidence, an operator at a gate, a window; and that
# a rollback waits for none of them.

use strict;
use warnings;

use FindBin;
use POSIX ();
use Test::More;

use lib "$FindBin::Bin/lib";
use Test::Gray;
use Test::Gray::Backend;
use Test::Gray::Process;
use Test::Gray::Rollout;

my @others = qw(pausing going failing early late);

my $r = Test::Gray::Rollout->new(releases => [ 'app', @others ]);

my @steps = ({ weight => 5 }, { weight => 20 }, { weight => 100 });


# -- nobody comes

my %of = map { $_ => $r->of($_) } @others;
my $unknown = 'and without it nothing is promoted';
my %quiet = (steps => \@steps, hold => '1s', max_hold => '6s');


# a tick comes later where the machine is busy

sub inconclusive {
    my ($is, $more, $name) = @_;

    my ($seconds) = $is->{reason} =~
                    /^not enough evidence in step \d after (\d+) s, $more$/;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    ok(defined $seconds, $name) or return diag($is->{reason});
    cmp_ok($seconds, '>=', 6, '... not before');

    return;
}


$of{pausing}->begin(%quiet);
$of{going}->begin(%quiet, on_inconclusive => 'next');
$of{failing}->begin(%quiet, on_inconclusive => 'rollback');

my $is = $of{pausing}->becomes('running waiting_evidence');

is($is->{substate}, 'waiting_evidence', 'nobody comes: it waits');
is($is->{next}{waits_for}, 'requests', '... for requests');

$is = $of{pausing}->becomes('paused');

is($is->{cause}, 'inconclusive', '... until max_hold, and is paused');
inconclusive($is, '0 requests', '... as it says');
is($of{pausing}->weight, 5, '... at its step');

$is = $of{failing}->becomes('rolled_back');

is($is->{cause}, 'inconclusive', '... or is rolled back');
is($of{failing}->weight, 0, '... to 0');

$is = $of{going}->becomes('running 2');

is($is->{cause}, 'inconclusive', '... or goes on');

$is = $of{going}->becomes('paused');

inconclusive($is, "0 requests, $unknown",
             '... but not to all, nor to be the baseline');
is($of{going}->weight, 20, '... and keeps what it had');

# who goes on has as much time again

$of{pausing}->act('resume');
$is = $of{pausing}->becomes('paused');
is($is->{cause}, 'inconclusive', 'resumed, and nobody comes');

$of{pausing}->act('resume');
$of{pausing}->ask(1);
is($of{pausing}->see->{state}, 'running', 'resumed, and somebody comes');


# -- a gate

my $hooks = $r->t->dir . '/hooks';

$r->t->daemon(hook => http(sub {
    my ($head, $socket) = @_;

    my ($length) = $head =~ /^Content-Length: (\d+)/mi;

    open my $fh, '>>', 'hooks' or die "hooks: $!\n";
    print $fh Test::Gray::Backend::read_exactly($socket, $length), "\n";
    close $fh or die "hooks: $!\n";

    return 'ok';
}));


sub told {
    return map { JSON::PP::decode_json($_) }
           slurp($hooks) =~ /^(\{.*\})$/mg;
}


my $url = 'http://127.0.0.1:' . $r->t->port('hook') . '/';
my %gates = (steps => [ { weight => 10, gate => 'manual' },
                        { weight => 50, gate => 'manual' } ],
             hold => '1s', min_requests => 0, on_success => 'keep',
             notify => [ { url => $url, on => [ 'gate', 'rollback' ] } ]);

$is = $r->begin(%gates);

is("$is->{state} $is->{substate}", 'scheduled waiting_gate',
   'a gate is before the first step');
is($r->weight, 0, '... whose weight is not set');

is($r->act('approve')->{status}, 200, 'approved');
is($r->act('approve')->{status}, 200, '... twice is once');

$r->becomes('running 1');
is($r->weight, 10, '... and the first step begins');

$is = $r->becomes('running waiting_gate');
is($is->{reason}, 'step 2, of 50%, is to be approved', 'the second one');
is($is->{next}{waits_for}, 'approve', '... waits likewise');

my $response = $r->api('GET', '/rollout/gate');
is($response->{status}, 403, '... so webhooks are told no');

ok(wait_until(sub { told() == 2 }), 'hooks are told of both');
is_deeply([ map { "$_->{event} $_->{to}" } told() ],
          [ 'gate scheduled', 'gate running' ], '... once');

# a canary that fails is not waited for

$r->bad(canary => 100);
$r->ask(400);

$is = $r->becomes('rolled_back');

is($is->{cause}, 'guard', 'it fails at a gate: rolled back');
is($r->weight, 0, '... to 0');
ok(wait_until(sub { told() == 3 }), '... and hooks are told');
is((told())[2]{event}, 'rollback', '... of that');
is((told())[2]{reason}, $is->{reason}, '... and why');
is($r->act('approve')->{status}, 409, 'there is nothing to be approved');

$r->bad(canary => 0);
$r->begin(%gates);
$is = $r->act('promote')->{json};
is("$is->{state} $is->{step}", 'running 1', 'promote goes past a gate');
$r->becomes('running waiting_gate');
is($r->act('rollback')->{json}{state}, 'rolled_back', 'rollback at one');
is($r->weight, 0, '... to 0');


# -- a window

sub clock {
    my ($seconds, $format) = @_;

    return POSIX::strftime($format, gmtime(time + $seconds));
}

my %waiting = (steps => \@steps, hold => '1s', min_requests => 0);

$is = $of{early}->begin(%waiting, windows => [
    { from => clock(7200, '%H:%M'), to => clock(10800, '%H:%M') },
    { days => [ map { lc clock($_ * 86400, '%a') } 2 .. 5 ] },
]);

is("$is->{state} $is->{substate}", 'scheduled waiting_window',
   'no window is open at this time, or day');
is($is->{reason}, 'no window of the plan is open', '... as it says');
is($of{early}->weight, 0, '... and the first step waits');
is($of{early}->act('rollback')->{json}{state}, 'rolled_back',
   'a rollback does not wait for it');

# a plan may be older than its windows, but not begin after them

$of{early}->plan(%waiting, cooldown => '0s', windows => [
    { before => clock(-60, '%Y-%m-%dT%H:%M:%SZ') },
    { days => [ lc clock(-86400, '%a') ],
      after => clock(-7 * 86400, '%Y-%m-%dT%H:%M:%SZ'),
      before => clock(3600, '%Y-%m-%dT00:00:00Z') },
]);

my $over = $of{early}->act('start');

is("$over->{status} $over->{json}{detail}",
   '409 the windows of the plan are over, none will open again',
   'windows that are over: refused');

# the window is shut while the first step is held, and another one opens

my $now = time;

$of{late}->begin(%waiting, hold => '8s', windows => [
    { before => clock(7, '%Y-%m-%dT%H:%M:%SZ') },
    { after => clock(16, '%Y-%m-%dT%H:%M:%SZ') },
]);

$is = $of{late}->becomes('running waiting_window');
is($is->{substate}, 'waiting_window', 'a window closes');
is($of{late}->weight, 5, '... and the step stays');

$is = $of{late}->becomes('running 2');
cmp_ok(time, '>=', $now + 16, 'another one opens, and it goes on');
is($of{late}->weight, 20, '... with its weight');

$r->t->done;
