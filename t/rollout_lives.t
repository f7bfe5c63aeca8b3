#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# Rollouts outlive workers that are killed, reloads, and another size of the
# zone, whatever state they are in; what was counted goes on, and no step is
# taken twice.

use strict;
use warnings;

use FindBin;
use Test::More;

use lib "$FindBin::Bin/lib";
use Test::Gray;
use Test::Gray::Exposition;
use Test::Gray::Process;
use Test::Gray::Rollout;

my $why = Test::Gray::Rollout::no_load();

plan(skip_all => $why) if $why;

my @states = qw(idle scheduled running paused gated baking succeeded
                rolled_back aborted);

my $r = Test::Gray::Rollout->new(releases => [ 'app', @states ], workers => 3,
                                 size => '8m');
my %of = map { $_ => $r->of($_) } @states;


# -- one of each state

my %long = (hold => '10m', max_hold => '60m', cooldown => '60m');
my %begun = (
    scheduled   => { steps => [ { weight => 5, gate => 'manual' } ] },
    running     => { steps => [ { weight => 30 }, { weight => 100 } ] },
    paused      => { steps => [ { weight => 20 }, { weight => 100 } ] },
    gated       => { steps => [ { weight => 10 },
                                { weight => 50, gate => 'manual' } ],
                     hold => '0s', min_requests => 0 },
    baking      => { steps => [ { weight => 100 } ] },
    succeeded   => { steps => [ { weight => 100 } ] },
    rolled_back => { steps => [ { weight => 20 }, { weight => 100 } ] },
    aborted     => { steps => [ { weight => 40 }, { weight => 100 } ] },
);
my %then = (paused => 'pause', succeeded => 'promote',
            rolled_back => 'rollback', aborted => 'abort');

$of{$_}->begin(%long, %{ $begun{$_} }) for sort keys %begun;
$of{$_}->act($then{$_}) for sort keys %then;
$of{idle}->plan(%long, %{ $begun{running} });
$of{gated}->becomes('running waiting_gate');


# what is to stay, and what grows

my @stays = qw(state substate cause step weight reason since started variant
               step_since hold_seconds);

sub looks {
    my %is;

    for my $name (@states) {
        my $is = $of{$name}->see;

        $is{$name} = { map({ $_ => $is->{$_} } @stays),
                       document => $of{$name}->weight,
                       revision => $of{$name}->document->{revision},
                       history  => [ map { $_->{id} } @{ $is->{history} } ] };
    }

    return \%is;
}


sub counts {
    my $guard = $of{running}->see->{guards}[1];

    return map { $guard->{counts}{$_}{requests} } qw(canary baseline);
}


sub held { return $of{running}->see->{held_seconds} }


my $before = looks();

is(join(' ', map { $before->{$_}{state} } @states),
   'idle scheduled running paused running baking succeeded rolled_back '
   . 'aborted', 'a rollout in each state');

$of{running}->load(500);
$of{running}->becomes(sub { $_[0]{requests} > 200 });


# so it stays over what the code does

sub outlives {
    my ($name, $code) = @_;

    my ($canary, $baseline) = counts();
    my $held = held();

    $code->();

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    is_deeply(looks(), $before, "$name: all are as they were");
    ok(wait_until(sub {
        my @is = counts();
        return $is[0] > $canary && $is[1] > $baseline && held() > $held + 1;
    }), '... and go on');

    my @is = counts();

    cmp_ok($is[0], '>=', $canary, '... from what was counted');

    return;
}


outlives('each worker is killed', sub {
    $r->t->kill_worker('KILL', $_) for $r->t->workers;
});
outlives('all workers are killed at once', sub {
    my @pids = $r->t->workers;
    my $mark = $r->t->{log}->mark;

    $r->t->expect(map { qr/worker process $_ exited on signal/ } @pids);
    kill 'KILL', @pids;
    wait_until(sub { $r->t->{log}->started($mark) == @pids });
});
outlives('a reload', sub { ok($r->reload, 'reload') });
outlives('another size of the zone', sub {
    ok($r->reload(size => '12m'), 'reload');
});
outlives('two reloads, and a size', sub {
    $r->reload;
    $r->reload(size => '10m');
});
outlives('another number of workers', sub { $r->reload(workers => 2) });


# -- a rollout that goes on meanwhile: each step is taken once

my $all = 14;

$r->begin(steps => [ map { { weight => $_ } } 1 .. $all ], hold => '1s',
          min_requests => 0, guards => [], on_success => 'keep');

my $n = 0;

$r->becomes(sub {
    return 1 if $_[0]{state} ne 'running';

    my $step = $_[0]{step} || 0;

    if ($step > $n) {
        $n = $step;
        my @pids = $r->t->workers;

        $n % 5 == 0   ? $r->reload
        : $n % 5 == 3 ? $r->reload(size => 10 + $n . 'm')
        :               $r->t->kill_worker('KILL', $pids[$n % @pids]);
    }

    return 0;
}, 50);

my $is = $r->see;
my @lines = $r->journal;

is($is->{state}, 'succeeded', "workers are killed, and reloads, in $all steps")
    or diag($is->{reason});
is_deeply([ map { $_->{document}{variants}{canary}{weight} } @lines ],
          [ 1 .. $all ], '... of which each is a revision, once');

my @times = map { Test::Gray::Rollout::time_of($_) } @lines;

# a tick is a second, and may be a little early, by the clock of the lines

is_deeply([ grep { $times[$_] - $times[$_ - 1] < 0.9 } 1 .. $#times ], [],
          '... and no two at once');

my $metrics = scrape($r->t, '/metrics');

is(total($metrics, 'nginx_gray_rollout_transitions_total', release => 'app',
         to => 'running', reason => 'plan'), $all, '... nor an event twice');
is($is->{history}[0]{id}, $all + 2, '... nor is one lost');


# -- those that were in a state go on from there

is_deeply(looks(), $before, 'the others are as they were');

is($of{scheduled}->act('approve')->{status}, 200, 'approved');
$of{scheduled}->becomes('running 1');
is($of{scheduled}->weight, 5, '... so it begins');
$of{gated}->act('approve');
$of{gated}->becomes('running 2');
is($of{gated}->weight, 50, 'a gate opens');
$of{paused}->act('resume');
is($of{paused}->see->{state}, 'running', 'resumed');
$of{baking}->act('promote');
$of{baking}->becomes('succeeded');
is($of{baking}->document->{baseline}, 'canary', 'baked');
is($of{rolled_back}->act('start')->{status}, 409, 'cooling down');
like($r->unload, qr/requests in/, 'there was load');

$r->t->done;
