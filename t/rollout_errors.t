#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# Canaries that fail: at once and half of the time, a little more than the
# baseline, and together with the baseline, which is no fault of theirs.

use strict;
use warnings;

use FindBin;
use Test::More;

use lib "$FindBin::Bin/lib";
use Test::Gray;
use Test::Gray::Rollout;

my $why = Test::Gray::Rollout::no_load();

plan(skip_all => $why) if $why;

my $r = Test::Gray::Rollout->new;


sub bad_of {
    my ($arm) = @_;

    return grep { $_->[0] eq $arm && $_->[2] == 500 } $r->served;
}


# of the seconds from one time to another, those in which anybody was answered:
# the machine may have stood still in others

sub answering {
    my ($from, $to) = @_;

    my %tenth = map { int(10 * $_->[4]) => 1 }
                grep { $_->[4] >= $from && $_->[4] <= $to } $r->served;

    return keys(%tenth) / 10;
}


# -- half of all

my %long = (hold => '10m', max_hold => '20m');

$r->load(2000);
$r->begin(%long, steps => [ { weight => 5 }, { weight => 100 } ]);
$r->becomes(sub { $_[0]{requests} && $_[0]{requests} > 100 });

$r->bad(canary => 50);

my $is = $r->becomes('rolled_back');
my ($line) = reverse $r->journal;
my @bad = bad_of('canary');
my $took = answering($bad[0][4], Test::Gray::Rollout::time_of($line));

is($is->{state}, 'rolled_back', 'half of the answers are errors: rolled back');
is($is->{cause}, 'guard', '... by a guard');
is($line->{document}{variants}{canary}{weight}, 0, '... to 0');
is($line->{comment}, $is->{reason}, '... and the history says why');
cmp_ok($took, '<', 5, sprintf '... %.1f s after the first error, and %d',
                              $took, scalar @bad);

# what was decided before that may be under way still

$r->forget;
$r->t->get("/app?u=$_") for 1 .. 50;
is_deeply([ grep { $_->[0] eq 'canary' && $_->[3] >= $line->{revision} }
            $r->served ], [], 'nobody gets there any more');


# -- three in a hundred against one

for my $unit (qw(request key)) {
    $r->unload;
    $r->over;
    $r->bad(stable => 1);
    $r->bad(canary => 1);
    $r->load(3000);

    $r->begin(%long, steps => [ { weight => 20 }, { weight => 100 } ],
              unit => $unit);
    $is = $r->becomes(sub { $_[0]{requests} && $_[0]{requests} > 1000
                            || $_[0]{state} ne 'running' });

    is($is->{state}, 'running', "$unit: as good as the baseline");

    $r->bad(canary => 3);

    $is = $r->becomes('rolled_back', 30);

    like($is->{reason},
         qr/^errors:\ canary\ \d+\ of\ \d+\ \(\d\.\d%\),
            \ baseline\ \d+\ of\ \d+\ \(\d\.\d%\),
            \ \d\.\d\d\ times,\ limit\ 1\.25,
            \ evidence\ \d+\ of\ 300\ needed$/x,
         '... and then three times as bad: rolled back')
        or diag($is->{reason});

    my ($event) = @{ $is->{history} };
    my ($numbers) = join ' ', $event->{reason} =~ /(\d+) of (\d+) \(/g;
    my $counts = $event->{guard}{counts};

    is($event->{guard}{name}, 'errors', '... by that guard');
    is($numbers, join(' ', map { @{ $counts->{$_} }{qw(bad requests)} }
                           qw(canary baseline)),
       '... whose counts are those of the reason');
    cmp_ok($event->{guard}{e_value}, '>=', 300, '... and evidence enough');
    is($r->weight, 0, '... and the weight is 0');
}


# -- an incident of both

$r->over;
$r->bad($_ => 0) for qw(stable canary);
$r->begin(steps => [ { weight => 20 }, { weight => 40, gate => 'manual' },
                     { weight => 100, gate => 'manual' } ],
          hold => '3s', max_hold => '120s');
$r->becomes(sub { $_[0]{requests} && $_[0]{requests} > 200 });

$r->bad($_ => 50) for qw(stable canary);

$is = $r->becomes('paused');

is($is->{cause}, 'guard', 'both are broken: paused');
like($is->{reason}, qr/^the baseline is bad, too; errors_abs: canary \d+ of/,
     '... as the baseline is bad, too');
is($r->weight, 20, '... and the weight stays');

$r->bad($_ => 0) for qw(canary stable);

is($r->act('resume', undef, '?comment=the+database')->{status}, 200,
   'both are well again: resumed');

my ($event) = grep { $_->{event} eq 'resumed' } @{ $r->see->{history} };

like("$event->{event}: $event->{reason}",
     qr/^resumed: resumed by 127\.0\.0\.1: the database$/,
     '... and it says by whom, and why');

$r->becomes('running waiting_gate', 30);
$r->act('approve');
$is = $r->becomes('running 2');
is($is->{weight}, 40, '... and it goes on');

$r->bad($_ => 50) for qw(stable canary);

$is = $r->becomes('paused');
like($is->{reason}, qr/^the baseline is bad, too/, 'broken again');

$r->bad(stable => 0);

$is = $r->becomes('rolled_back');
is($is->{history}[0]{from}, 'paused',
   'the baseline is well, and the canary is not: rolled back while paused');
is($r->weight, 0, '... to 0');

$r->unload;
$r->t->done;
