#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# A worker that moves a rollout is killed in the middle of that: with the zone's
# lock, between the state and its file, between that and the document, and
# behind it.  Others take it from there, and nothing is done twice.  Or it stands
# still there, and an operator is faster.

use strict;
use warnings;

use FindBin;
use Test::More;

use lib "$FindBin::Bin/lib";
use Test::Gray;
use Test::Gray::Exposition;
use Test::Gray::Halt;
use Test::Gray::Process;
use Test::Gray::Rollout;

# in the order in which a step comes to them

my @places = qw(stage_tick rollout_write trial_write_locked keep_write
                rollout_apply commit_start rollout_applied);

my $r = Test::Gray::Rollout->new;

plan(skip_all => 'processes cannot be halted here')
    if !can_halt(($r->t->workers)[0], 'ngx_http_gray_stage_tick');


sub transitions {
    return total(scrape($r->t, '/metrics'),
                 'nginx_gray_rollout_transitions_total', release => 'app',
                 to => 'running', reason => 'plan') || 0;
}


for my $place (@places) {
    my $function = "ngx_http_gray_$place";
    my @workers = $r->t->workers;

    # it may be part of its caller

    next if !can_halt($workers[0], $function);

    my $before = transitions();
    my $lines = $r->journal;

    $r->begin(steps => [ map { { weight => $_ } } 1 .. 3 ], hold => '0s',
              min_requests => 0, guards => [], on_success => 'keep');

    # in all of them: anyone may be the one

    halt_at($_, $function) for @workers;

    my $halted = wait_any_halted(@workers);

    ok($halted, "$place: a worker is halted there");

    my $mark = $r->t->{log}->mark;

    $r->t->expect(map { qr/worker process $_ exited on signal 9/ } @workers);
    kill 'KILL', @workers;
    wait_until(sub { $r->t->{log}->started($mark) == @workers })
        or die "no successors\n";

    my $is = $r->becomes('succeeded');

    is($is->{state}, 'succeeded', '... and killed, and others go on')
        or diag($is->{reason});

    my @journal = $r->journal;

    splice @journal, 0, $lines;

    is_deeply([ map { $_->{document}{variants}{canary}{weight} } @journal ],
              [ 1 .. 3 ], '... each step is one revision');
    is(transitions() - $before, 3, '... and one event');
    $r->over;
}


# -- a step's weight is about to be set, and an operator sets another one

my @json = ('Content-Type' => 'application/json');

for my $round (1 .. 3) {
    $r->begin(steps => [ { weight => 10 }, { weight => 50 } ], hold => '1h',
              max_hold => '2h');
    $r->becomes('running 1');

    my %worker = %{ $r->t->each_worker('/pid') };
    my ($halted, $other) = keys %worker;

    halt_at($halted, 'ngx_http_gray_apply');
    $worker{$halted}->send(Test::Gray::HTTP::request_text('POST',
                               '/gray/releases/app/rollout/promote', []));

    ok(wait_halted($halted), "round $round: a step, and it is halted");

    $worker{$other}->send(Test::Gray::HTTP::request_text('PATCH',
                              '/gray/releases/app', \@json,
                              '{"variants": {"canary": {"weight": 7}}}'));
    is($worker{$other}->receive('PATCH')->{status}, 200, '... 7% by hand');
    go_on($halted);
    $worker{$halted}->receive('POST');

    my $is = $r->becomes('paused');

    is("$is->{cause} " . $r->weight, 'manual 7', '... which stays');
    $r->over;
}

$r->t->done;
