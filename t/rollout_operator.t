#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# An operator changes the document of a release whose rollout is under way: its
# weight, its plan, whether it is enabled; or takes it back; in every state, and
# at the very moment of a rollback.

use strict;
use warnings;

use FindBin;
use JSON::PP ();
use POSIX    ();
use Test::More;

use lib "$FindBin::Bin/lib";
use Test::Gray;
use Test::Gray::Process;
use Test::Gray::Rollout;

my $why = Test::Gray::Rollout::no_load();

plan(skip_all => $why) if $why;

my %begun = (
    scheduled => { steps => [ { weight => 10, gate => 'manual' },
                              { weight => 100 } ] },
    running   => { steps => [ { weight => 10 }, { weight => 100 } ] },
    paused    => { steps => [ { weight => 10 }, { weight => 100 } ] },
    baking    => { steps => [ { weight => 100 } ] },
    succeeded => { steps => [ { weight => 100 } ], on_success => 'keep' },
);
my %then = (paused => 'pause', succeeded => 'promote');

my @changes = qw(delete put plan disable variant);
my @states = sort keys %begun;
my @names = map { my $state = $_; map { "${state}_$_" } @changes } @states;

my $r = Test::Gray::Rollout->new(
    releases => [ 'app', @names ], size => '32m', workers => 2);

my %long = (hold => '10m', max_hold => '60m');


# -- each change in each state

sub change {
    my ($of, $change) = @_;

    my $document = $of->document;

    if ($change eq 'put') {
        delete @$document{qw(rollout allocation revision)};
        return $of->api('PUT', '', $document);
    }

    if ($change eq 'variant') {
        $document->{rollout}{variant} = 'other';
        $document->{variants}{other} = { upstream => 'stable', weight => 0 };
        delete @$document{qw(allocation revision)};
        @{ $document->{rollout} }{qw(steps on_success)} = ([ { weight => 0 } ],
                                                         'keep');
        return $of->api('PUT', '', $document);
    }

    return $of->api('DELETE', '') if $change eq 'delete';
    return $of->patch({ enabled => JSON::PP::false() }) if $change eq 'disable';
    return $of->patch({ rollout => { hold => '11m' } });
}

# what it comes to, of those under way: state, cause, and the reason

my $stay = 'weights stay as they are';
my %comes = (
    delete  => [ 'aborted manual', "the plan was removed, $stay" ],
    put     => [ 'aborted manual', "the plan was removed, $stay" ],
    plan    => [ 'paused manual', 'the plan was changed, or the upstream '
                                  . 'of its variant' ],
    disable => [ 'paused manual', 'the release was disabled' ],
    variant => [ 'aborted manual', "the plan is for another variant now, "
                                   . $stay ],
);

my (%weight, %before);

for my $state (@states) {
    for my $change (@changes) {
        my $name = "${state}_$change";
        my $of = $r->of($name);

        $of->begin(%long, %{ $begun{$state} });
        $of->act($then{$state}) if $then{$state};
        $before{$name} = $of->see;
        $weight{$name} = $change eq 'delete' ? 0 : $of->weight;

        my $response = change($of, $change);

        is($response->{status}, 200, "$name: changed")
            or diag($response->{body});
    }
}

for my $state (@states) {
    for my $change (@changes) {
        my $name = "${state}_$change";
        my $of = $r->of($name);
        my ($told, $reason) = @{ $comes{$change} };

        # an operator has paused it, or it is over: so it stays

        if ($state eq 'succeeded'
            || $state eq 'paused' && $told =~ /^paused/)
        {
            ($told, $reason) = (join(' ', @{ $before{$name} }{qw(state cause)}),
                                $before{$name}{reason});
        }

        my $is = $of->becomes(sub { "$_[0]{state} $_[0]{cause}" eq $told });

        is("$is->{state} $is->{cause}: $is->{reason}", "$told: $reason",
           "$name: $told");
        is($of->weight, $weight{$name}, '... with its weight');
    }
}

my $of = $r->of('running_disable');

like($of->act('resume')->{json}{detail}, qr/^the release is disabled/,
     'a release that is disabled is not resumed');
$of->patch({ enabled => JSON::PP::true() });
is($of->act('resume')->{json}{state}, 'running', '... until it is enabled');

$of = $r->of('running_plan');
is($of->act('resume')->{json}{hold_seconds}, 660, 'another plan goes on');


# -- the weight

my @steps = ({ weight => 10 }, { weight => 20 }, { weight => 40 },
             { weight => 60, gate => 'manual' }, { weight => 100 });

$r->begin(%long, steps => \@steps);

for ([ 25, 2, 20 ], [ 20, 2, 20 ], [ 99, 3, 40 ], [ 0, 1, 10 ]) {
    my ($by_hand, $step, $weight) = @$_;

    if ($r->weight != $by_hand) {
        my $response = $r->patch({ variants => {
            canary => { weight => $by_hand } } });
        my $revision = $response->{json}{revision};
        my $is = $r->becomes('paused');

        is("$is->{cause}: $is->{reason}", sprintf('manual: the weight was '
           . 'changed to %s%% by revision %d', $by_hand, $revision),
           "$by_hand% by hand: paused");
        is($r->weight, $by_hand, '... and it stays so');
    }

    my $is = $r->act('resume')->{json};

    is("$is->{state} $is->{step} $is->{weight}", "running $step $weight",
       '... and resumed, within the plan, and not past a gate');
    is($r->weight, $weight, '... in the document, too');
}

$r->patch({ salt => 'another' });
$r->becomes(sub { $_[0]{held_seconds} > 1 });
is($r->see->{state}, 'running', 'another change of the document is none of it');


# -- the plan, behind a gate that was passed

$r->over;
$r->begin(%long, steps => \@steps);
$r->act('promote') for 1 .. 3;
is($r->weight, 60, 'it is behind its gate');
$r->patch({ rollout => { max_hold => '2h' } });
$r->becomes('paused');

my $resumed = $r->act('resume')->{json};

is("$resumed->{state} $resumed->{step} $resumed->{weight}", 'running 4 60',
   'with another plan it goes on from there');
is($resumed->{max_hold_seconds}, 7200, '... which is that plan');
is($r->weight, 60, '... and nobody has moved');

# what is known of one version is not known of another one

$r->patch({ variants => { canary => { upstream => 'stable' } } });
like($r->becomes('paused')->{reason}, qr/, or the upstream of its variant$/,
     'another upstream: paused');
$resumed = $r->act('resume')->{json};
is("$resumed->{state} $resumed->{step} $resumed->{requests}", 'running 4 0',
   '... and seen anew');
$r->patch({ variants => { canary => { upstream => 'canary' } } });
$r->becomes('paused');


# -- what another plan has come to is so when the answer comes

my @seen;

for (1 .. 10) {
    $r->over;
    push @seen, $r->see->{state};

    $r->begin(%long, steps => \@steps);
    push @seen, $r->see->{state};

    $r->patch({ rollout => { max_hold => '2h' } });
    push @seen, $r->see->{state};

    $r->patch({ rollout => undef });
    $r->patch({ rollout => { variant => 'canary', steps => \@steps } });
    push @seen, $r->see->{state};
}

is_deeply(\@seen, [ (qw(aborted running paused aborted)) x 10 ],
          'who asks for the rollout then sees it');


# -- writes without a pause while a canary fails

$r->over;
$r->load(1000);
$r->begin(%long, steps => [ { weight => 30 }, { weight => 100 } ]);
$r->becomes(sub { $_[0]{requests} > 20 });

my @writers = map {
    my $i = $_;

    $r->t->child(sub {
        my $n = 0;

        until (-e 'enough') {
            my $weight = 30 + $i + ++$n % 2;

            $r->patch({ variants => { canary => { weight => $weight } } },
                      "?comment=writer");
        }

        POSIX::_exit(0);
    });
} 1, 3;

$r->becomes('paused');
$r->bad(canary => 100);

my $is = $r->becomes(sub { $_[0]{state} eq 'rolled_back' });

is($is->{state}, 'rolled_back', 'rolled back, whoever writes');
is($is->{history}[0]{from}, 'paused', '... and it was paused by hand');
ok(wait_until(sub { grep { !$_->{document}{variants}{canary}{weight} }
                    $r->journal }), '... and the document is, for a moment');
$r->t->write_file('enough', '');

for my $pid (@writers) {
    wait_until(sub { !alive($pid) });
    $r->t->reap($pid);
}

$r->becomes(sub { !$_[0]{pending} });

my @lines = $r->lines;
my ($back) = grep { $lines[$_]{author} eq 'rollout'
                    && !$lines[$_]{document}{variants}{canary}{weight} }
             reverse 0 .. $#lines;
my @after = map { $_->{document}{variants}{canary}{weight} }
            @lines[$back .. $#lines];

is($r->weight, $after[-1], 'in the end it is 0, or what was written after it');
like($lines[$back]{comment}, qr/^errors(?:_abs)?: canary/,
     '... and history has both: ' . join ' ', grep { defined }
     @after[0 .. 2]);
is_deeply([ grep { $lines[$_]{revision} != $lines[$_ - 1]{revision} + 1 }
            1 .. $#lines ], [], '... revision by revision');

# nobody rolls it back once more, as it is over

my $revision = $r->document->{revision};

$r->patch({ variants => { canary => { weight => 7 } } });
$r->t->kill_worker('KILL', $_) for $r->t->workers;
wait_until(sub { ($r->see->{state} || '') eq 'idle' });
is($r->weight, 7, 'what an operator sets afterwards stays');
is($r->document->{revision}, $revision + 1, '... as it is');

$r->unload;
$r->t->done;
