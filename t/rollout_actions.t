#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# Every action in every state, twice; and what is no action, in no state.

use strict;
use warnings;

use FindBin;
use JSON::PP ();
use Test::More;

use lib "$FindBin::Bin/lib";
use Test::Gray;
use Test::Gray::Rollout;

my $r = Test::Gray::Rollout->new(releases => [ qw(app never) ]);

my %long = (hold => '10m', max_hold => '60m', cooldown => '2s',
            min_requests => 0);
my @three = ({ weight => 10 }, { weight => 50 }, { weight => 100 });
my @gates = ({ weight => 10, gate => 'manual' }, { weight => 50 },
             { weight => 100 });


sub started { return $r->begin(%long, @_) }


# how it comes to a state

my %come = (
    idle        => sub { $r->plan(%long, steps => \@three) },
    scheduled   => sub { started(steps => \@gates) },
    running     => sub { started(steps => \@three) },
    paused      => sub { started(steps => \@three); $r->act('pause') },
    unbegun     => sub { started(steps => \@gates); $r->act('pause') },
    gated       => sub { started(hold => '0s', steps => [
                             { weight => 10 },
                             { weight => 50, gate => 'manual',
                               hold => '10m' } ]);
                         $r->becomes('running waiting_gate') },
    baking      => sub { started(steps => [ $three[2] ]) },
    succeeded   => sub { started(steps => [ $three[2] ]);
                         $r->act('promote') },
    rolled_back => sub { started(steps => \@three, cooldown => '10m');
                         $r->act('rollback') },
    aborted     => sub { started(steps => \@three); $r->act('abort') },
);

# what each action makes of it, and once more: "STATE STEP WEIGHT", or what is
# in the reason for which it is refused

my $none = { map { $_ => 'there is none under way' }
             qw(pause resume approve promote full rollback abort) };

my %ends = (rollback => 'rolled_back - 0', abort => 'aborted - 10');

my %table = (
    idle => { %$none, start => 'running 1 10' },

    scheduled => { %ends, abort => 'aborted - 0',
        start   => 'scheduled - 0',  pause   => 'paused - 0',
        resume  => 'scheduled - 0',  approve => 'running 1 10',
        promote => [ 'running 1 10', 'running 2 50' ],
        full    => 'baking 3 100' },

    running => { %ends,
        start   => 'running 1 10',   pause   => 'paused 1 10',
        resume  => 'running 1 10',   approve => 'no gate is waited at',
        promote => [ 'running 2 50', 'baking 3 100' ],
        full    => 'baking 3 100' },

    paused => { %ends,
        start   => 'paused 1 10',    pause   => 'paused 1 10',
        resume  => 'running 1 10',   approve => 'the rollout is paused',
        promote => [ 'running 2 50', 'baking 3 100' ],
        full    => 'baking 3 100' },

    unbegun => { %ends, abort => 'aborted - 0',
        start   => 'paused - 0',     pause   => 'paused - 0',
        resume  => 'scheduled - 0',  approve => 'the rollout is paused',
        promote => [ 'running 1 10', 'running 2 50' ],
        full    => 'baking 3 100' },

    gated => { %ends,
        start   => 'running 1 10',   pause   => 'paused 1 10',
        resume  => 'running 1 10',   approve => 'running 2 50',
        promote => [ 'running 2 50', 'succeeded 2 100' ],
        full    => 'succeeded 1 100' },

    baking => { rollback => 'rolled_back - 0', abort => 'aborted - 100',
        start   => 'baking 1 100',   pause   => 'paused 1 100',
        resume  => 'baking 1 100',   approve => 'no gate is waited at',
        promote => [ 'succeeded 1 100', 'there is none under way' ],
        full    => 'baking 1 100' },

    succeeded => { %$none, start => 'is the baseline already',
                   full => 'succeeded 1 100' },

    rolled_back => { %$none, start => 'cools down for ',
                     rollback => 'rolled_back - 0' },

    aborted => { %$none, start => 'running 1 10', abort => 'aborted - 10' },
);


sub act {
    my ($action) = @_;

    return $action eq 'full' ? $r->act('promote', { full => JSON::PP::true() })
                             : $r->act($action);
}


# a step is that of what is under way, or has succeeded

sub told {
    my ($is) = @_;

    my $step = $is->{state} =~ /^(?:rolled_back|aborted)$/ ? undef
                                                           : $is->{step};

    return join ' ', $is->{state}, defined $step ? $step : '-', $r->weight;
}


sub answered {
    my ($response) = @_;

    return $response->{json}{detail} if $response->{status} == 409;
    return told($response->{json}) if $response->{status} == 200;
    return "$response->{status} $response->{body}";
}


# what is to be seen, but for how long it is so

sub seen {
    my $is = $r->see;

    return JSON::PP->new->canonical->encode([
        @$is{qw(state substate step weight reason since started)},
        map({ $_->{id} } @{ $is->{history} }), $r->document ]);
}


# none was ever begun before the first one

for my $state ('idle', grep { $_ ne 'idle' } sort keys %table) {
    my ($home, @wrong) = ('');

    for my $action (sort keys %{ $table{$state} }) {
        my $expected = $table{$state}{$action};

        $expected = [ $expected, $expected ] unless ref $expected;

        for my $try (0, 1) {

            if ($try == 0 && seen() ne $home) {
                $r->over;
                $come{$state}->();
                $home = seen();
            }

            my $before = seen();
            my $response = act($action);
            my $said = answered($response);

            # a gate that was approved is left at once, or at the next tick

            if ($response->{status} == 200 && $action eq 'approve') {
                $said = told($r->becomes(sub { !$_[0]{pending}
                    && told($_[0]) eq $expected->[$try] }));
            }

            push @wrong, "$action: $said, not $expected->[$try]"
                if index($said, $expected->[$try]) < 0;

            push @wrong, "$action: refused, and changed"
                if $response->{status} == 409 && seen() ne $before;

            push @wrong, "$action again: changed"
                if $try == 1 && $expected->[0] eq $expected->[1]
                   && seen() ne $before;
        }
    }

    is_deeply(\@wrong, [], "$state: "
              . join(', ', sort keys %{ $table{$state} }));
}


# -- no rollout at all

my $never = $r->of('never');

for my $action (qw(start pause resume approve promote rollback abort)) {
    is($never->act($action)->{status}, 404, "no plan, ever: $action");
}


# -- what is no action

$r->over;
started(steps => \@three);

my $before = seen();

for ([ 'POST', 'start', '{', 400 ],
     [ 'POST', 'rollback', '[]', 422 ],
     [ 'POST', 'rollback', '"now"', 422 ],
     [ 'POST', 'rollback', '{"full":true}', 422 ],
     [ 'POST', 'promote', '{"full":1}', 422 ],
     [ 'POST', 'promote', '{"all":true}', 422 ],
     [ 'POST', 'promote', '{"full":true,"full":true}', 400, 422 ],
     [ 'POST', 'abort', 'x' x 200_000, 413, 400 ],
     [ 'POST', 'stop', undef, 404 ],
     [ 'POST', 'Abort', undef, 404 ],
     [ 'POST', 'abort/', undef, 404 ],
     [ 'POST', '', undef, 404 ],
     [ 'GET', 'abort', undef, 405 ],
     [ 'PUT', 'abort', '{}', 405 ],
     [ 'DELETE', 'rollback', undef, 405 ])
{
    my ($method, $action, $body, @status) = @$_;

    my $response = $r->api($method, "/rollout/$action", $body);

    ok((grep { $_ == $response->{status} } @status),
       "$method $action " . substr(defined $body ? $body : '', 0, 30)
       . ": $response->{status}") or diag($response->{body});
    is($response->{headers}{allow}, 'POST', '... and what is allowed')
        if $response->{status} == 405;
}

my $t = $r->t;

is($t->api('POST', '/gray/releases/app/rollout/abort', '{}',
           'Content-Type' => 'text/plain')->{status}, 415, 'no JSON');
is($t->api('POST', '/gray/releases/app/rollout/abort', undef,
           Origin => 'http://example.com')->{status}, 403, 'another site');
is($t->api('POST', '/gray/releases/nobody/rollout/abort')->{status}, 404,
   'no such release');
is(seen(), $before, 'nothing has changed');

is($r->act('pause', '{}')->{status}, 200, 'an empty object is no body');

my $long = 'x' x 200;

is($r->act('resume', undef, "?comment=$long")->{status}, 200, 'a long comment');
like($r->see->{history}[0]{reason}, qr/^resumed by 127\.0\.0\.1: x{50,}$/,
     '... of which there is as much as fits');

$r->t->done;
