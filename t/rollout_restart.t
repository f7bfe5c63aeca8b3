#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# Rollouts outlive nginx, where the zone has a state directory: what was
# answered is so after all processes were killed, and time that nobody has
# watched, or a clock that was set, moves no step.  A file that cannot be read
# pauses the rollout.

use strict;
use warnings;

use FindBin;
use POSIX ();
use Test::More;
use Time::HiRes;

use lib "$FindBin::Bin/lib";
use Test::Gray;
use Test::Gray::Clock;
use Test::Gray::Process;
use Test::Gray::Rollout;

plan(skip_all => no_clock()) if no_clock();

my $day = 86400;
my $gap = 5;

my $r = Test::Gray::Rollout->new(clock => 'Test::Gray::Clock',
                                 releases => [ qw(app window) ]);
my $window = $r->of('window');


sub start { return $r->{clock}->start($r->t) }


sub restart {
    my ($crash, $code) = @_;

    $crash ? $r->t->crash : $r->t->stop;
    $code->() if $code;

    return start();
}


sub looks {
    my $is = $r->see;

    return join ' ', map { defined $_ ? $_ : '-' }
           @$is{qw(state substate cause step weight reason)}, $r->weight,
           map { $_->{id} } @{ $is->{history} };
}


sub told { return (looks() =~ /^(\w+)/)[0] . ' ' . $r->weight }


# -- what was answered is so

my %steps = (steps => [ { weight => 5 }, { weight => 20 }, { weight => 40 },
                        { weight => 100 } ],
             hold => '10m', max_hold => '60m', cooldown => '10m');

$r->plan(%steps);

for ([ 'start', 'running 5' ], [ 'pause', 'paused 5' ],
     [ 'resume', 'running 5' ], [ 'promote', 'running 20' ],
     [ 'rollback', 'rolled_back 0' ])
{
    my ($action, $told) = @$_;

    is($r->act($action)->{status}, 200, $action);

    my $before = looks();

    restart('crash');

    is(told(), $told, '... and all processes are killed: it is so');
    is(looks(), $before, '... and as it was');
}

is($r->act('start')->{status}, 409, 'it cools down over a restart');
$r->patch({ rollout => { cooldown => '0s' } });
is($r->act('start')->{status}, 200, '... as long as the plan says');

$r->over;
restart();

like($r->act('start')->{json}{detail}, qr/no plan/,
     'a plan that is gone is gone');


# -- time that nobody has watched

$r->begin(%steps, cooldown => '0s');
$r->act('promote');

# what is kept is of 5 seconds ago, at most

sub held { return $r->see->{held_seconds} }

# of a tick that has just been, and when that was at the earliest

sub ticked {
    my $held = held();
    my ($is, $asked, $since);

    wait_until(sub {
        ($since, $asked) = ($asked, Time::HiRes::time());
        $is = held();
        return $since && $is != $held;
    })
    or die "no tick\n";

    return ($is, $since);
}


# twice as long as that, with nothing else that is kept: late ticks are no fault

$r->becomes(sub { $_[0]{held_seconds} > 10 });

my $before = looks();
my ($held, $since) = ticked();

restart('crash');
cmp_ok(held(), '>', $held - 8, 'all processes are killed: it is kept by then');
is(looks(), $before, '... the same step');
ok(wait_until(sub { held() > $held }), '... which is held on');
cmp_ok(held() - $held, '<=', Time::HiRes::time() - $since + 1,
       '... and nothing is made up for');

# nginx was away for longer than a gap, and the clock says it was an hour

($held, $since) = ticked();

restart(undef, sub {
    $since -= Time::HiRes::time();
    $r->{clock}->set(3600);
    select undef, undef, undef, $gap + 1;
    $since += Time::HiRes::time();
});

is(looks(), $before, 'away for an hour: the same step');

my $is = held();

cmp_ok($is, '<=', $held + Time::HiRes::time() - $since + 1,
       "... of which no time has passed: $is s");
ok(wait_until(sub { held() > $is + 1 }), '... until now');

for my $by ($day, -$day, 0) {
    ($is, $since) = ticked();
    $r->{clock}->set($by);
    ok(wait_until(sub { held() > $is + 1 }), "the clock is set by $by s");
    cmp_ok(held(), '<=', $is + Time::HiRes::time() - $since + 1,
           '... and time goes on as ever');
    is(looks(), $before, '... in the same step');
}


# -- a window is by the clock of the day

sub clock { return POSIX::strftime('%H:%M', gmtime(time + $_[0])) }

$window->begin(steps => [ { weight => 10 }, { weight => 20 } ],
               hold => '60s', min_requests => 0, windows => [
                   { from => clock(7200), to => clock(10800) } ]);
$window->becomes('scheduled waiting_window');
$window->{clock}->set(9000);
$is = $window->becomes('running 1');
is($is->{step}, 1, 'the clock comes to a window: it begins');
$r->{clock}->set(0);


# -- files that cannot be read

my $file = $r->t->dir . '/state/app.rollout';

$r->t->expect(qr/rollout" cannot be read/);

my %damage = (
    'a byte'   => sub { my $text = slurp($file);
                        substr($text, length($text) / 2, 1) ^= "\1";
                        return $text },
    'its end'  => sub { return substr slurp($file), 0, -1 },
    'all'      => sub { return '' },
    'the form' => sub { my $text = slurp($file);
                        substr($text, 0, 1) ^= "\1";
                        return $text },
);

for my $what (sort keys %damage) {
    $r->act('resume');

    my $weight = $r->weight;

    restart('crash', sub {
        my ($uid, $gid) = (stat $file)[4, 5];
        my $text = $damage{$what}->();

        open my $fh, '>:raw', $file or die "$file: $!\n";
        print $fh $text;
        close $fh or die "$file: $!\n";
        chown $uid, $gid, $file;
    });

    my $is = $r->becomes('paused');

    is("$is->{state} $is->{cause}", 'paused lost', "$what is lost: paused");
    is($r->weight, $weight, '... with the weight that there is');
    is($is->{step}, 2, '... and the step of it');
    like($is->{reason}, qr/could not be read.*abort it, or resume it/,
         '... and it says what to do');

    restart();
    is($r->see->{cause}, 'lost', '... also after a restart');
}

is($r->act('resume')->{json}{state}, 'running', 'resumed');
is($r->weight, 20, '... from there');
is($r->act('promote')->{json}{step}, 3, '... and on');
is($r->act('abort')->{json}{state}, 'aborted', 'or aborted');
is($r->weight, 40, '... where it is');


# -- a reload with another size before anybody has looked at the file

$r->over;
$r->begin(%steps);
$before = looks();
restart();
$r->reload(size => '6m');
$r->becomes('running');
is(looks(), $before, 'a start, and a reload at once: it is there');

# -- evidence

$r->over;
$r->begin(%steps, cooldown => '0s', steps => [ { weight => 50 } ]);
$r->bad($_ => 3) for qw(stable canary);
$r->ask(200);

my $all = sub {
    my $counts = $_[0]{guards}[1]{counts};
    return $counts->{canary}{requests} + $counts->{baseline}{requests};
};

$r->becomes(sub { $all->($_[0]) == 200 });
$r->act('pause');
$before = $r->see->{guards};
restart('crash');
is_deeply([ map { $_->{counts} } @{ $r->see->{guards} } ],
          [ map { $_->{counts} } @$before ], 'counts of guards outlive it');
is_deeply([ map { $_->{e_value} } @{ $r->see->{guards} } ],
          [ map { $_->{e_value} } @$before ], '... and the evidence');
$r->act('resume');

# two ticks, for what comes with the first one is of nobody knows when

$r->becomes(sub { $_[0]{held_seconds} > 2 });
$r->ask(100);
is($all->($r->becomes(sub { $all->($_[0]) >= 300 })), 300, '... and go on');


# -- a directory that takes no new files: the document is kept, and it is not

my $state = $r->t->dir . '/state';
my $again = sub { return scalar(() = $r->t->log =~ /is kept again/g) };
my $kept = $again->();

chmod 0555, $state;

my $response = $r->act('pause');

is($response->{status}, 503, 'a directory that is not written to');
like($response->{json}{detail}, qr/^the rollout has changed.*cannot be kept/,
     '... is no reason not to pause, as it says');
is($r->see->{state}, 'paused', '... so it has');

$response = $r->act('rollback');

is($response->{status}, 503, '... nor not to roll back');
is($r->weight, 0, '... so it has, too');
like($response->{json}{detail},
     qr/^the rollout has changed, but cannot be kept in the state directory, /,
     '... and nobody is told that its document is another one');
like($r->t->log, qr/open\(\) "[^"]+app\.rollout" failed/,
     '... and the log tells');

chmod 0700, $state;

$r->t->expect(qr/app\.rollout" failed/);
ok(wait_until(sub { $again->() > $kept }),
   '... until there is one again, though nothing is under way any more');
restart('crash');
like(told(), qr/^(?:rolled_back|idle) 0$/, '... from which it comes back');


# -- killed at the very moment at which the document has changed

my $journal = $r->t->dir . '/state/app.jsonl';
my $times = 4;

$r->over;
$r->begin(steps => [ map { { weight => $_ } } 1 .. 20 ], hold => '1s',
          min_requests => 0, guards => [], on_success => 'keep');

my @found;

for (1 .. $times) {
    my $size = -s $journal;
    my $end = time + 5;

    # without a pause, as it is about milliseconds

    1 until -s $journal != $size || time > $end;
    $r->t->crash;
    start();

    my ($is, $weight);

    # both of them between two ticks

    wait_until(sub {
        ($is, $weight) = ($r->see, $r->weight);
        return !grep { $_->{pending} || $_->{step} != $is->{step} }
               $is, $r->see;
    });

    push @found, $is->{state} . ($is->{step} == $weight ? '' : ' wrong')
                 . ($is->{state} eq 'paused' ? $is->{reason} : '');
}

is_deeply(\@found, [ ('running') x $times ],
          'killed when the document has changed: no change by anybody else');

my %steps_of;
$steps_of{ $_->{document}{variants}{canary}{weight} }++ for $r->journal;
is_deeply([ grep { $steps_of{$_} > 1 } 1 .. 4 ], [], '... nor once more');

$r->t->done;
