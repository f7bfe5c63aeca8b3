#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# Rollouts, where a call fails or a worker is killed at any point of a change:
# what is begun comes to its end, once, and nothing is forgotten.

use strict;
use warnings;

use FindBin;
use Test::More;

use lib "$FindBin::Bin/lib";
use Test::Gray;
use Test::Gray::Fault;
use Test::Gray::Process;
use Test::Gray::Rollout;

plan(skip_all => 'make test FAILPOINTS=1') unless has_failpoints();

my $group = 'Rollouts';
my %passed;

my $r = Test::Gray::Rollout->new(state => 'state');
my $t = $r->t;

$t->expect(qr/ its rollout would not survive a restart/,
           qr/ its rollout could not change the document/,
           qr/ rollout (?:paused|rolled_back): /);

my %plan = (cooldown => '1ms', hold => '1h', max_hold => '2h',
            steps => [ { weight => 10 }, { weight => 50 } ]);

$r->plan(%plan);

# the steps of a plan are there, and a rollout is at the first of them

sub begin {
    $r->becomes('idle') if $r->see->{state} eq 'rolled_back';

    my $answer = $r->act('start');

    die "no start: $answer->{body}\n" if $answer->{status} != 200;

    $r->becomes('running 1');

    return;
}


# revisions by the rollout that have no weight for the canary, since a number

sub rollbacks {
    my ($since) = @_;

    return grep { $_->{revision} > $since
                  && $_->{document}{variants}{canary}{weight} == 0 }
           $r->journal;
}


# whether a point was passed so often since the last time that it was

sub passed {
    my ($point, $n) = @_;

    $passed{$point} += grep { $_ eq $point } hits($t);

    return 0 if $passed{$point} < $n;

    delete $passed{$point};

    return 1;
}


# -- a file that cannot be written: the state has changed, and it is said

for my $point (points('keep_')) {
    my @faults;

    for my $error ('EIO', 'ENOSPC') {
        begin();
        arm($t, $point => $error);

        my $answer = $r->act('pause');

        push @faults, "$error: $answer->{status}"
            if $answer->{status} != 503
               || $answer->{body} !~ /cannot be kept in the state directory/;
        push @faults, "$error: " . $r->see->{state}
            if $r->see->{state} ne 'paused';

        disarm($t);

        $answer = $r->act('pause');

        push @faults, "$error, then: $answer->{status}"
            if $answer->{status} != 200;

        $t->crash;
        $t->start;

        push @faults, "$error, after a restart: " . $r->see->{state}
            if $r->see->{state} ne 'paused';

        $answer = $r->act('rollback');

        push @faults, "$error, rollback: $answer->{body}"
            if $answer->{status} != 200 || $r->weight != 0;
    }

    is_deeply(\@faults, [], "$point fails");

    (my $call = $point) =~ s/^keep_//;

    record($group, "the rollout's file: `$call` fails, EIO, ENOSPC",
           '503; the state has changed; the next action keeps it',
           @faults ? join('; ', @faults)
           : '503; the state had changed; the next action kept it');
}


# -- a worker that is killed at any point of a rollback

my @points = (qw(commit_locked journal_write journal_sync journal_appended
                 commit_publish commit_published), points('keep_'));

for my $point (@points) {
    begin();

    my $since = $r->document->{revision};
    my @faults;

    arm($t, $point => 'kill once');

    killed($t, sub { eval { $r->act('rollback') } });
    disarm($t);

    my $is = $r->becomes(sub {
        $_[0]{state} =~ /^(?:rolled_back|idle)$/ && !$_[0]{pending};
    });

    push @faults, "state $is->{state}, weight " . $r->weight
        if $r->weight != 0;

    my $n = () = rollbacks($since);

    push @faults, "$n revisions" if $n != 1;

    is_deeply(\@faults, [], "killed at $point");

    record($group, "a worker is killed by `$point` of a rollback",
           'another one ends it; one revision',
           @faults ? join('; ', @faults)
           : 'another one ended it; one revision');
}


{
    my $state = $t->dir . '/state';

    ok(wait_until(sub { !(() = glob "$state/.*.rollout.*") }),
       'what was not finished is removed');
}


# -- a guard rolls back, and the disk does not take it: until it does

{
    my @faults;

    begin();

    my $since = $r->document->{revision};

    arm($t, journal_write => 'EIO');

    $r->bad(canary => 100);
    $r->ask(2000);

    my $is = $r->becomes(sub { $_[0]{state} eq 'rolled_back' });

    push @faults, 'not pending' if !$is->{pending};
    push @faults, 'weight ' . $r->weight if $r->weight != 10;

    wait_until(sub { passed('journal_write', 4) })
        or push @faults, 'it is not tried again';

    # a worker says it once, and there are two

    my $said = () = $t->log =~ /its rollout could not change the document/g;

    push @faults, "$said lines in the log" if $said < 1 || $said > 2;

    disarm($t);

    wait_until(sub { $r->weight == 0 }, 5) or push @faults, 'it is not made';

    my $n = () = rollbacks($since);

    push @faults, "$n revisions" if $n != 1;

    $r->bad(canary => 0);

    is_deeply(\@faults, [], 'a rollback that cannot be written');

    record($group, 'a guard rolls back, and the journal cannot be written',
           'tried each second, and made once it can',
           @faults ? join('; ', @faults)
           : 'tried each second, and made once it could');
}

# -- it is to be the baseline, and the disk does not take it: it can go back

{
    my @faults;

    $r->becomes('idle');
    $r->begin(%plan, steps => [ { weight => 100 } ], guards => []);
    $r->becomes('baking 1');

    my $since = $r->document->{revision};

    arm($t, journal_write => 'EIO');

    $r->act('promote');

    my $is = $r->see;

    push @faults, 'not pending' if $is->{pending}{change} ne 'promote';

    my $answer = $r->act('rollback');

    push @faults, "answer $answer->{status}" if $answer->{status} != 503;

    $is = $r->see;

    push @faults, "it is $is->{state}, pending $is->{pending}{change}"
        if "$is->{state} $is->{pending}{change}" ne 'rolled_back rollback';

    disarm($t);

    wait_until(sub { $r->weight == 0 }, 5) or push @faults, 'it is not made';

    my @made = map { $_->{document}{baseline} } rollbacks($since);

    push @faults, "baselines: @made" if "@made" ne 'stable';

    $r->plan(%plan);

    is_deeply(\@faults, [], 'a rollback of a promotion that is not written');

    record($group, 'a promotion cannot be written to the journal, and is '
           . 'rolled back', 'it never is the baseline; 0 once it can be',
           @faults ? join('; ', @faults)
           : 'it never was the baseline; 0 once it could be');
}

# -- there is no memory for the plan of a revision: that is no plan removed

{
    my @faults;

    begin();
    arm($t, live_plan => 'ENOMEM');

    $r->patch({ rules => [ { when => { '$arg_u' => 'x' },
                             variant => 'stable' } ] });

    wait_until(sub { passed('live_plan', 4) })
        or push @faults, 'it is not tried again';

    my $is = $r->see->{state};

    push @faults, "it is $is" if $is ne 'running';

    disarm($t);

    my $n = $r->see->{requests} || 0;

    wait_until(sub { $r->ask(50); ($r->see->{requests} || 0) > $n })
        or push @faults, 'it does not count any more';

    is_deeply(\@faults, [], 'no memory for a plan');

    record($group, 'there is no memory for the plan of a revision',
           'the plan before is in force; tried each second',
           @faults ? join('; ', @faults)
           : 'the plan before was in force; tried each second');
}

# -- another user

SKIP: {
    my ($other) = grep { getpwnam $_ } qw(daemon bin www-data mail);

    skip('no other user', 1) unless $> == 0 && $other;

    my @faults;

    $r->act('abort');
    begin();

    $t->stop;
    $r->{main} = "user $other " . getgrgid((getpwnam $other)[3]) . ';';
    $t->config($r->text);
    $t->start;

    my $is = $r->see;

    push @faults, "it is $is->{state}, $is->{reason}"
        if $is->{state} ne 'running';

    is_deeply(\@faults, [], 'another user');

    record($group, 'nginx.conf names another `user`',
           'the file is given to that user',
           @faults ? join('; ', @faults) : 'the same');
}

Test::Gray->done;
