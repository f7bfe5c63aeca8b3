#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# The memory and the descriptors of a worker stay what they are while twenty
# rollouts tick, and while others begin and are aborted.  CYCLES is how often
# that, and TICKS how many seconds; as many cycles come before, as what is free
# grows in the first ones.

use strict;
use warnings;

use FindBin;
use Test::More;

use lib "$FindBin::Bin/lib";
use Test::Gray;
use Test::Gray::Process;
use Test::Gray::Rollout;

plan(skip_all => 'memory is not that of nginx')
    if $ENV{TEST_NGINX_WRAPPER} || $ENV{TEST_SANITIZER_LOG};

my $cycles = $ENV{CYCLES} || 60;
my $ticks = $ENV{TICKS} || 5;

my @names = map { "r$_" } 1 .. 20;
my $r = Test::Gray::Rollout->new(workers => 1, size => '16m', name => 'r1',
                                 releases => \@names);
my ($worker) = $r->t->workers;


# in kB

sub memory {
    return slurp("/proc/$worker/status") =~ /^RssAnon:\s+(\d+) kB/m ? $1 : 0;
}


# but for connections, which may be about to end

sub descriptors {
    return scalar grep { defined && !/^socket:/ }
                  map { readlink } glob("/proc/$worker/fd/*");
}


# files of the state directory are open while they are written: the least of
# some is what is open always

sub flat {
    my ($name, $open, $before, $after, $bound) = @_;

    note("memory of the worker: $before kB, then $after kB");
    cmp_ok($after - $before, '<', $bound, "memory over $name");
    ok(wait_until(sub { descriptors() == $open }), "descriptors over $name");

    return;
}


# a rollout of another plan, that is aborted

sub cycle {
    my ($n) = @_;

    my $at = $r->of($names[$n % 5]);
    my $began = $at->begin(steps => [ { weight => 1 + $n % 50 },
                                      { weight => 100 } ], cooldown => '0s',
                           max_hold => '1h', hold => '1h')->{state} eq 'running';

    $at->ask(5);
    $at->over;

    return $began;
}


# those that tick, and go on

my %forever = (hold => '1h', max_hold => '2h',
               guards => [ { name => 'errors', bad => '5xx',
                             max_ratio => 1.25 },
                           { name => 'latency', quantiles => [ 0.5, 0.99 ],
                             max_ratio => 1.1 },
                           { name => 'split', sample_ratio => JSON::PP::true() }
                         ]);

$r->of($_)->begin(%forever, steps => [ { weight => 10 }, { weight => 100 } ])
    for @names[5 .. 19];

is(scalar(grep { cycle($_) } 1 .. $cycles), $cycles, 'as many before');
$r->of($_)->ask(20) for @names;

my $before = memory();
my ($open) = sort { $a <=> $b } map { descriptors() } 1 .. 100;

is(scalar(grep { cycle($_) } 1 .. $cycles), $cycles, "$cycles cycles");

my $between = memory();

flat('cycles', $open, $before, $between, 512);

# all of them tick, and are asked what they are

my $until = $r->of('r6')->see->{held_seconds} + $ticks;

wait_until(sub {
    $r->of($_)->see for @names;
    return $r->of('r6')->see->{held_seconds} >= $until;
}, 2 * $ticks + 20);

flat("$ticks ticks", $open, $between, memory(), 256);

is(scalar(grep { $r->of($_)->see->{state} eq 'running' } @names[5 .. 19]), 15,
   'all the others go on');
is_deeply([ $r->t->workers ], [ $worker ], 'by the same worker');

$r->t->done;
