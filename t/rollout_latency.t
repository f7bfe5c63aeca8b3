#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# A canary that is slow: all the time, as is seen, or in the first seconds of a
# step, which its warmup is there for.

use strict;
use warnings;

use FindBin;
use Test::More;

use lib "$FindBin::Bin/lib";
use Test::Gray;
use Test::Gray::Rollout;

my $why = Test::Gray::Rollout::no_load();

plan(skip_all => $why) if $why;

# where nginx is slow, so are all requests, and not by so many milliseconds

plan(skip_all => 'nginx is slow') if $Test::Gray::Process::scale > 1;

my $r = Test::Gray::Rollout->new(users => 1_000_000);

my %latency = (name => 'latency', action => 'rollback',
               quantiles => [ 0.5, 0.9, 0.99 ], max_ratio => 1.1,
               min_delta => '5ms');


# a cold cache: each step is slow at first, for seconds; returns what came of it

sub cold {
    my ($warmup) = @_;

    my %plan = (steps => [ { weight => 20 }, { weight => 50 } ], hold => '8s',
                guards => [ \%latency ], warmup => $warmup,
                on_success => 'keep');

    # steps are the next two revisions

    my $revision = $r->plan(%plan)->{revision};

    $r->does('canary', 'cold' . ($revision + $_), 1) for 1, 2;
    $r->act('start')->{status} == 200 or die "not started\n";

    return $r->becomes(sub {
        my ($is) = @_;

        $r->does('canary', 'cold' . ($revision + $is->{step}), 0)
            if $is->{held_seconds} && $is->{held_seconds} > 2;

        return $is->{state} =~ /^(?:succeeded|rolled_back)$/;
    }, 60);
}


$r->does($_, slow10 => 1) for qw(stable canary);
$r->load(400);

my $is = cold('7s');

is($is->{state}, 'succeeded', 'slow while it is cold: no harm')
    or diag($is->{reason});

$r->over;

$is = cold('0s');

is($is->{state}, 'rolled_back', '... which it is without a warmup')
    or diag($is->{reason});

$r->over;
$r->does('canary', slow40 => 0);

$r->begin(steps => [ { weight => 30 }, { weight => 100 } ], hold => '60s',
          guards => [ \%latency ]);
$r->becomes(sub { $_[0]{requests} && $_[0]{requests} > 300 });
$r->does('canary', slow20 => 1);

$is = $r->becomes('rolled_back');

is($is->{state}, 'rolled_back', 'twice as slow: rolled back');
like($is->{reason},
     qr/^latency:\ canary\ \d+\ of\ \d+\ \([\d.]+%\)\ slower\ than\ (\d+)\ ms,
        \ baseline\ \d+\ of\ \d+\ \([\d.]+%\)\ slower\ than\ (\d+)\ ms
        \ \(p(?:50|90|99)\),\ evidence\ (?:over\ )?\d+\ of\ 100\ needed$/x,
     '... and it says how slow it is');
is($r->weight, 0, '... to 0');


# -- against a number, and only to be looked at

$r->over;
$r->does('canary', slow40 => 1);
$r->begin(steps => [ { weight => 30 }, { weight => 100 } ], hold => '60s',
          guards => [ { name => 'slow', slower_than => '30ms', max => 0.2,
                        action => 'pause' } ]);

$is = $r->becomes('paused');

is($is->{cause}, 'guard', 'slower than a number: paused');
like($is->{reason}, qr/^slow: canary \d+ of \d+ \([\d.]+%\) slower than 30 ms,/,
     '... as it says');
is($r->weight, 30, '... where it is');

# what the operator has seen is no news to him

$r->does('canary', $_ => 0) for qw(slow40 slow20);
is($r->act('resume')->{status}, 200, 'resumed');

my $since = $r->see->{guards}[0];

cmp_ok($since->{e_value}, '<', 2, '... evidence begins anew');

my $before = $since->{counts}{canary}{requests};

$r->becomes(sub { $_[0]{guards}[0]{counts}{canary}{requests}
                  > $before + 500 });
is($r->see->{state}, 'running', '... and it goes on');

$r->unload;
$r->t->done;
