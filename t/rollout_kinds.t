#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# Rollouts of releases of all kinds: with rules, of three variants, without a
# state directory, without keys, without statistics, and of a feature switch.

use strict;
use warnings;

use FindBin;
use Test::More;

use lib "$FindBin::Bin/lib";
use Test::Gray;
use Test::Gray::Process;
use Test::Gray::Rollout;

my %soon = (hold => '0s', min_requests => 0);
my %long = (hold => '10m', max_hold => '60m');


# -- rules, and three variants

my $r = Test::Gray::Rollout->new(variants => [ qw(canary third) ]);
my @rules = (
    { name => 'testers', when => { '$arg_t' => '1' }, variant => 'canary' },
    { name => 'part', when => { '$arg_p' => '1' },
      weights => { canary => 50, third => 10 } },
    { when => { '$arg_x' => '1' }, variant => 'canary' },
    { when => { '$arg_y' => '1' }, variant => 'stable' },
);


sub rules { return $r->document->{rules} }


# of so many users, who is where

sub users {
    my %arm;

    $r->forget;
    $r->t->get("/app?u=$_") for 1 .. 200;
    $arm{ $_->[1] } = $_->[0] for $r->served(200);

    return \%arm;
}


# of rules, by what stands in the query

sub by_rule {
    my ($query) = @_;

    $r->forget;
    $r->t->get("/app?u=$_&$query") for 1 .. 100;

    my %seen;
    $seen{ $_->[0] }++ for $r->served(100);

    return join ' ', sort keys %seen;
}


$r->patch({ rules => \@rules, variants => { third => { weight => 20 } } });

my $refused = $r->patch({ rollout => { variant => 'canary', steps => [
    { weight => 81 } ] } });

is($refused->{status}, 422, 'more than another variant leaves');
is($refused->{json}{errors}[0]{pointer}, '/rollout/steps/0/weight',
   '... it says where');

my $before = users();

$r->begin(%long, steps => [ { weight => 30 }, { weight => 80 } ],
          guards => [ { name => 'errors', bad => '5xx', max_ratio => 1.25,
                        action => 'rollback' } ]);

my $while = users();

is(by_rule('t=1'), 'canary', 'testers');
is(by_rule('p=1'), 'canary stable third', 'a part');

is_deeply([ grep { ($before->{$_} eq 'third') != ($while->{$_} eq 'third') }
            keys %$before ], [], 'nobody comes to the third variant, or goes');
cmp_ok(scalar(grep { $while->{$_} eq 'canary' } keys %$while), '>', 30,
       'the canary has its users');

# who is there by a rule is no fair sample of anybody

$r->bad(canary => 100);
by_rule('t=1');
by_rule('p=1');
$r->bad(canary => 0);
$r->becomes(sub { $_[0]{held_seconds} > 2 });

my $is = $r->see;

is($is->{state}, 'running', 'testers and parts see errors: none of it counts');
cmp_ok($is->{guards}[0]{counts}{canary}{bad}, '==', 0, '... not one')
    or diag($is->{guards}[0]{text});

$r->bad(canary => 100);
$r->ask(300);
$is = $r->becomes('rolled_back');
$r->bad(canary => 0);

like($is->{reason}, qr/^errors: canary \d+ of .*; rules that name it stay: /,
     'rolled back');
like($is->{reason}, qr/: testers, 2$/, '... and the rules that stay are named');
is_deeply(rules()->[1]{weights}, { canary => 0, third => 10 },
          '... weights of a rule do not');
is_deeply([ map { $_->{variant} } @{ rules() }[0, 2, 3] ],
          [ qw(canary canary stable) ], '... as they are no part of it');
is(by_rule('t=1'), 'canary', 'testers are there still');
is(by_rule('p=1'), 'stable third', '... and the part is not');
is_deeply(users(), $before, '... and all users are where they were');
is((reverse $r->journal)[0]{comment}, $is->{reason}, 'history says the same');

# it becomes the baseline

$r->patch({ rules => \@rules });
$r->begin(%soon, guards => [], steps => [ { weight => 30 }, { weight => 80 } ]);
$is = $r->becomes('succeeded');

my $document = $r->document;

is($document->{baseline}, 'canary', 'it is the baseline');
is_deeply([ map { $document->{variants}{$_}{weight} } qw(stable canary third) ],
          [ 0, undef, 20 ], '... the old one has nothing, the third its part');
is_deeply($document->{rules}[1]{weights}, { stable => 0, third => 10 },
          '... in rules likewise');
is_deeply([ map { $_->{variant} } @{ $document->{rules} }[0, 2, 3] ],
          [ qw(canary canary stable) ], '... and rules by name stay');

my $after = users();

is_deeply([ grep { ($before->{$_} eq 'third') != ($after->{$_} eq 'third') }
            keys %$before ], [], '... and nobody has come to the third or gone');
is(by_rule('p=1'), 'canary third', '... nor by a rule');

# of an unprivileged worker

my ($mode, $owner) = (stat $r->t->dir . '/state/app.rollout')[2, 4];

is($mode & 07777, 0600, 'what is kept is for nobody else');
is($owner, (getpwnam('nobody'))[2], '... but the worker') if $> == 0;

$r->t->stop;
$r->{upstreams}->stop;


# -- no state directory, and no keys

$r = Test::Gray::Rollout->new(state => '', key => '');

is($r->plan(%long, steps => [ { weight => 20 } ])->{rollout}{unit}, 'request',
   'without keys, the unit is a request');

$refused = $r->patch({ rollout => { unit => 'key' } });

is($refused->{status}, 422, '... and cannot be a key');
like($refused->{json}{errors}[0]{detail}, qr/"hash" or "cookie"/,
     '... as it says');
is($r->patch({ hash => [ '$arg_u' ], rollout => { unit => 'key' } })->{status},
   200, '... until there are keys');
like($r->act('start')->{json}{detail}, qr/no filter of keys.*"unit": "request"/,
     '... but then the zone has no place for them');

$r->patch({ hash => undef, rollout => undef });
$r->begin(%long, steps => [ { weight => 20 }, { weight => 100 } ]);
$r->t->kill_worker('KILL', $_) for $r->t->workers;
is($r->see->{state}, 'running', 'no state directory: workers are killed');
$r->reload(size => '6m');
is($r->see->{state}, 'running', '... and another size of the zone');
$r->bad(canary => 100);
$r->ask(300);
$is = $r->becomes('rolled_back');
is($r->weight, 0, '... and a rollback');
like($is->{reason}, qr/^errors(?:_abs)?: canary/, '... by requests');

$r->t->stop;
$r->t->start;
is($r->t->api('GET', '/gray/releases/app/rollout')->{status}, 404,
   '... and a restart has forgotten all');
$r->t->stop;
$r->{upstreams}->stop;


# -- no statistics

$r = Test::Gray::Rollout->new(zone => 'stats=off');

is($r->patch({ rollout => { variant => 'canary',
                            steps => [ { weight => 5 } ] } })->{status},
   200, 'no statistics: a plan is a plan');

for my $response ($r->api('GET', '/rollout'), map { $r->act($_) }
                  qw(start pause resume approve promote rollback abort))
{
    is($response->{status}, 409, '... but there is no rollout');
    like($response->{json}{detail}, qr/stats=off/, '... as it says');
}

is($r->document->{variants}{canary}{weight}, 0, '... and nothing moves');
$r->t->stop;
$r->{upstreams}->stop;


# -- a switch of a feature

$r = Test::Gray::Rollout->new(switch => 1, more => 'location = /which '
                              . '{ return 200 $gray_app; }');
$r->begin(%soon, hold => '1s', guards => [], steps => [
    { weight => 10 }, { weight => 100 } ]);
is($r->weight, 10, 'a feature');
$is = $r->becomes('succeeded');
is($r->t->get('/which?u=1')->{body}, 'canary', '... for all');

$r->t->done;
