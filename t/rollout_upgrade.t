#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# The binary is upgraded in the middle of a rollout: there are two masters with
# a zone each, and one of them moves it.  No step is taken twice, also where the
# new one is gone again.

use strict;
use warnings;

use FindBin;
use JSON::PP ();
use Test::More;
use Time::HiRes ();

use lib "$FindBin::Bin/lib";
use Test::Gray;
use Test::Gray::Process;
use Test::Gray::Rollout;

plan(skip_all => 'a wrapper is not upgraded') if $ENV{TEST_NGINX_WRAPPER};

my $all = 32;

my $r = Test::Gray::Rollout->new(daemon => 'on');

$r->begin(steps => [ map { { weight => $_ } } 1 .. $all ], hold => '1s',
          min_requests => 0, guards => [], on_success => 'keep');


# by the journal, as there may be two that answer

sub lines { return [ map { $_->{document}{variants}{canary}{weight} }
                     $r->journal ] }

sub comes_to {
    my ($step, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    ok(wait_until(sub { lines()->[-1] >= $step }), "$name: it goes on")
        or diag(join ' ', $r->see->{state}, $r->see->{reason});

    return;
}


sub gone {
    my ($master, @workers) = @_;

    kill 'QUIT', $master;
    wait_until(sub { !grep { alive($_) } $master, @workers })
        or die "$master has not ended\n";

    return;
}


comes_to(2, 'one nginx');

# the old one goes

my @workers = $r->t->workers;
my $old = $r->t->upgrade;

comes_to(5, 'two of them');
gone($old, @workers);
comes_to(7, 'the new one alone');

# the new one goes, after a while and at once; or while the workers of the old
# one stand still, so that they see all that it did in one moment

for my $case ([ 2 ], [ 1 ], ([ 1, 'still' ]) x 2) {
    my ($steps, $still) = @$case;
    my @still = $still ? $r->t->workers : ();

    $old = $r->t->upgrade;

    my $new = $r->t->master;

    kill 'STOP', @still;

    my $since = Time::HiRes::time();

    comes_to(lines()->[-1] + $steps, "$steps more with two of them");

    $r->becomes(sub { !$_[0]{pending} }) if $still;

    @workers = $r->t->workers;
    gone($new, @workers);
    $r->t->{master} = $old;
    wait_until(sub { ($r->t->read_file('nginx.pid') =~ /(\d+)/)[0] == $old });

    # a tick of theirs has been due, and longer ago than one may be left out

    wait_until(sub { Time::HiRes::time() > $since + 2.5 }) if $still;
    kill 'CONT', @still;
    comes_to(lines()->[-1] + 2, '... the new one is gone');
}

# to the last step, unless a weight is being set

ok(wait_until(sub {
    $r->act('promote', { full => JSON::PP::true() })->{status} == 200
}), 'it is sent to its end');

my $is = $r->becomes('succeeded', 30);
my $n = lines()->[-2];

is($is->{state}, 'succeeded', 'it comes there') or diag($is->{reason});
is_deeply(lines(), [ 1 .. $n, $all ], '... each step once');
is_deeply([ map { $_->{id} } @{ $is->{history} } ],
          [ reverse $n - 12 .. $n + 3 ], '... and each event');

my @times = map { Test::Gray::Rollout::time_of($_) } $r->journal;

# the last one came by hand

is_deeply([ grep { $times[$_] - $times[$_ - 1] < 0.9 } 1 .. $#times - 1 ], [],
          '... and no two at once');

$r->t->done;
