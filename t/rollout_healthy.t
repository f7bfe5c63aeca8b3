#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# A canary that is as good as its baseline, under load, goes up by itself and
# becomes the baseline; no user is thrown back and forth.  One in a hundred
# requests fails, on both arms, and then one in a hundred users, always.

use strict;
use warnings;

use FindBin;
use Test::More;

use lib "$FindBin::Bin/lib";
use Test::Gray;
use Test::Gray::Rollout;

my $why = Test::Gray::Rollout::no_load();

plan(skip_all => $why) if $why;

my $r = Test::Gray::Rollout->new(users => 5000);

$r->bad($_ => 1) for qw(stable canary);
$r->load(3000);

$r->begin(steps => [ { weight => 5 }, { weight => 20 }, { weight => 100 } ],
          info_nats => 16);

my $is = $r->becomes('succeeded', 40);

is($is->{state}, 'succeeded', 'a good canary goes all the way');
is($is->{cause}, 'plan', '... as planned');
is($r->document->{baseline}, 'canary', '... and is the baseline');

is_deeply([ map { [ @$_{qw(event from to weight)} ] }
            reverse @{ $is->{history} } ],
          [ [ qw(started idle scheduled 0) ],
            [ qw(step scheduled running 5) ],
            [ qw(step running running 20) ],
            [ qw(step running baking 100) ],
            [ qw(promoted baking succeeded 100) ] ],
          'what has happened');


# -- the journal

my @lines = $r->journal;

is_deeply([ map { $_->{document}{variants}{canary}{weight} } @lines ],
          [ 5, 20, 100, undef ], 'a revision for each weight, and the end');

is_deeply([ map { $_->{comment} } @lines ],
          [ map { $_->{reason} } reverse @{ $is->{history} }[0 .. 3] ],
          '... with the reason as its comment');

like($lines[1]{comment},
     qr/^step 2 of 3, 20%: step 1 of 3 was held for \d+ s, \d+ requests$/,
     '... which says what there was');

is_deeply([ map { $_->{revision} } @lines ],
          [ $lines[0]{revision} .. $lines[0]{revision} + 3 ],
          '... and nobody else writes');

my $api = $r->t->api('GET', '/gray/releases/app/history')->{json};

is_deeply([ map { [ @$_{qw(revision author comment)} ] }
            grep { $_->{author} eq 'rollout' }
            sort { $a->{revision} <=> $b->{revision} }
            @{ $api->{revisions} } ],
          [ map { [ @$_{qw(revision author comment)} ] } @lines ],
          'the history says the same');


# -- users, by the revision that decided where they go; some more of them come
# to the new baseline

my $until = $r->served;

$r->served($until + 3000);

my $said = $r->unload;

like($said, qr/^\s*\d+ requests in/m, 'there was load');
unlike($said, qr/Socket errors/, '... without errors of its own');

my (%last, %first, %arm);
my $n = 0;

for ($r->served) {
    my ($arm, $user, undef, $revision) = @$_;

    $arm{$arm}++ if $n++ < $until;

    if ($arm eq 'stable') {
        $last{$user} = $revision if $revision > ($last{$user} || 0);

    } elsif (!$first{$user} || $revision < $first{$user}) {
        $first{$user} = $revision;
    }
}

my @both = grep { defined $last{$_} } keys %first;

cmp_ok(scalar(@both), '>', 1000, scalar(@both) . ' users were of both arms');
is_deeply([ grep { $last{$_} >= $first{$_} } @both ], [],
          'none of them comes back to the baseline');


# -- counts are those of the upstream

my %guard = map { $_->{name} => $_ } @{ $is->{guards} };

cmp_ok($guard{errors_abs}{counts}{canary}{requests}, '<=', $arm{canary},
       'no more requests are judged than the canary had');
cmp_ok($guard{errors_abs}{counts}{canary}{requests}, '>', 0.5 * $arm{canary},
       '... and most of them');


# -- another start makes no sense, and another plan does

my $answer = $r->act('start');

is($answer->{status}, 409, 'it cannot be started again');
like($answer->{json}{detail}, qr/"canary" is the baseline already/,
     '... as it is the baseline');


# -- the same users fail all the time, on both arms

$r->over;
$r->bad($_ => 0) for qw(stable canary);
$r->does($_, cursed => 1) for qw(stable canary);
$r->load(2000);

$r->begin(steps => [ { weight => 30 }, { weight => 50 } ], unit => 'key',
          hold => '4s', on_success => 'keep');

$is = $r->becomes('succeeded', 40);

is($is->{state}, 'succeeded', 'one in a hundred users fails always: it is '
                              . 'no news that he did again');
is($r->weight, 50, '"keep" leaves the weight, and the baseline');
is($r->document->{baseline}, 'stable', '... which is another one');

my ($errors) = grep { $_->{name} eq 'errors' } @{ $is->{guards} };

for my $arm (qw(canary baseline)) {
    my $of = $errors->{counts}{$arm};

    cmp_ok($of->{bad}, '>', 0, "$arm: $of->{bad} of $of->{requests}");
    cmp_ok($of->{bad}, '<=', 0.02 * 5000, '... a user counts once');
}

$r->unload;
$r->t->done;
