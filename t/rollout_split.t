#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# The guard of the split counts users who are new, and who comes to the baseline
# from a third variant is not.

use strict;
use warnings;

use FindBin;
use Test::More;

use lib "$FindBin::Bin/lib";
use Test::Gray;
use Test::Gray::Process;
use Test::Gray::Rollout;

my $r = Test::Gray::Rollout->new(variants => [ qw(canary third) ]);


# how many users of either arm the guard has seen, as of the last tick

sub seen {
    my ($guard) = @{ $r->see->{guards} };

    return $guard->{counts}{canary}{requests}
           + $guard->{counts}{baseline}{requests};
}


# so many users ask, from a number on; returns how many more are seen, once
# they are counted

sub more {
    my ($first, $users) = @_;

    my $before = seen();

    $r->{asked}[0] = $first;
    $r->ask($users);

    my $held = $r->see->{held_seconds};

    wait_until(sub { $r->see->{held_seconds} > $held + 2 });

    return seen() - $before;
}


my $third = sub {
    return $r->patch({ variants => { third => { weight => $_[0] } } })->{status};
};

is($third->(40), 200, 'a third variant');
$r->begin(hold => '1h', max_hold => '2h',
          guards => [ { name => 'split', sample_ratio => JSON::PP::true() } ],
          steps => [ { weight => 20 }, { weight => 50 } ]);

# a sixteenth of 60% of 4,000

my $new = more(0, 4000);

cmp_ok($new, '>', 100, 'users are new');
cmp_ok($new, '<', 200, '... of both arms, not all');
is(more(0, 4000), 0, '... and then they are not');

# its users come to the baseline

is($third->(0), 200, 'the third variant gives up its weight');
is(more(0, 4000), 0, 'who was there is not new');
is(scalar(grep { $_->[0] eq 'third' } ($r->served(12000))[-4000 .. -1]), 0,
   '... and is at the arms');

$new = more(4000, 4000);

cmp_ok($new, '>', 180, 'others are');
cmp_ok($new, '<', 320, '... of all');
is($r->see->{state}, 'running', 'and the rollout goes on');

$r->t->done;
