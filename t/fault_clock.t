#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# Somebody sets the clock by a day, back or ahead: revisions go on, history is
# in the order of revisions, nobody waits.

use strict;
use warnings;

use FindBin;
use JSON::PP    ();
use POSIX       ();
use Test::More;
use Time::HiRes ();

use lib "$FindBin::Bin/lib";
use Test::Gray;
use Test::Gray::Clock;
use Test::Gray::Fault;
use Test::Gray::Journal;
use Test::Gray::Process;

plan(skip_all => 'make test FAILPOINTS=1') unless has_failpoints();
plan(skip_all => no_clock()) if no_clock();

my $day = 86400;
my $weight = 0;

my $t = Test::Gray->new->config(journal_config(workers => 2, history => 100));
my $second = Test::Gray->new->config(journal_config(
    workers => 1, history => 100, state => $t->dir . '/state'));

my $clock = Test::Gray::Clock->new($t);


sub other { return $weight = $weight % 70 + 1 }


# all workers have looked at it

sub sees_clock {
    my ($seconds) = @_;

    return wait_until(sub {
        my $date = POSIX::strftime(' %d ', gmtime(time + $seconds));
        my %worker = %{ $t->each_worker('/pid') };

        return !grep { $_->get('/on')->{headers}{date} !~ /$date/ }
               values %worker;
    }, 5);
}


# how far from ours the times of the records are, in days, by revision

sub days {
    my %days;

    for (split /^/, lines($t)) {
        my $record = JSON::PP->new->utf8->decode($_);
        my ($y, $mon, $d, $h, $min, $s) =
            $record->{time} =~ /^(\d+)-(\d+)-(\d+)T(\d+):(\d+):(\d+)\.\d{3}Z$/
            or return { $record->{revision} => $record->{time} };

        local $ENV{TZ} = 'UTC';
        POSIX::tzset();

        my $time = POSIX::mktime($s, $min, $h, $d, $mon - 1, $y - 1900);

        $days{$record->{revision}} =
            POSIX::floor(($time - Time::HiRes::time()) / $day + 0.5) + 0;
    }

    return \%days;
}


# where the machine is busy, another process may have the lock for 100 ms

sub insist {
    my ($ask) = @_;

    my $answer;

    for (1 .. 5) {
        $answer = $ask->();
        last if $answer->{body} !~ /another process writes to the zone/;
    }

    return $answer;
}


# a change by another nginx, whose clock goes right, and one here: both follow
# within a second

sub changes_elsewhere {
    my ($revision) = @_;

    my @faults;
    my $answer = insist(sub { change($second, other()) });

    push @faults, "another nginx: $answer->{status} $answer->{body}"
        if $answer->{status} != 200 || revision($answer) != ++$$revision;

    wait_until(sub { revision(seen($t)) == $$revision }, 1)
        or push @faults, 'it does not follow within a second';

    push @faults, changes($revision);

    wait_until(sub { revision(seen($second)) == $$revision }, 1)
        or push @faults, 'another nginx does not follow within a second';

    return @faults;
}


# a change by each worker, each of which is the next revision, at once; what
# is wrong

sub changes {
    my ($revision) = @_;

    my $workers = $t->each_worker('/pid');
    my @faults;

    for my $connection (@$workers{sort keys %$workers}) {
        my $since = Time::HiRes::time();
        my $answer = insist(sub {
            change_by($connection, other())->receive
        });

        push @faults, "$answer->{status} $answer->{body}"
            if $answer->{status} != 200
               || revision($answer) != ++$$revision;
        push @faults, 'a change has waited'
            if Time::HiRes::time() - $since > 1;
        push @faults, 'a worker decides by another revision'
            if grep { ask($_) !~ / $$revision$/ } values %$workers;
    }

    return @faults;
}


$clock->start($t);
$second->start;

for ([ -1, 'a day back' ], [ 1, 'a day ahead' ]) {
    my ($by, $what) = @$_;

    my $revision = revision(seen($t));
    my $first = $revision;
    my @faults = changes(\$revision);

    $clock->set($by * $day);

    push @faults, 'the clock is as it was' if !sees_clock($by * $day);

    push @faults, changes(\$revision);
    push @faults, changes_elsewhere(\$revision);

    # one that is started with that clock

    my $before = seen($t);

    $t->crash;
    $clock->start($t);
    push @faults, 'another state after a restart'
        if !eq_hash(seen($t), $before);
    push @faults, changes_elsewhere(\$revision);

    # set right while it runs

    $clock->set(0);
    push @faults, 'the clock is as it was' if !sees_clock(0);
    push @faults, changes_elsewhere(\$revision);
    push @faults, gaps($t, $revision) if gaps($t, $revision);

    my $days = days();
    my @days = map { $days->{$_} } $first + 1 .. $revision;

    is_deeply(\@days, [ 0, 0, ($by) x 2, (0, ($by) x 2) x 2, (0) x 3 ],
              "$what: the times of the records");

    my $history = $t->api('GET', '/gray/releases/app/history')->{json};
    my @listed = map { $_->{revision} } @{ $history->{revisions} };
    my @sorted = sort { $b <=> $a } @listed;

    push @faults, "history: @listed"
        if @listed < 13 || "@listed" ne "@sorted";

    is_deeply(\@faults, [], $what);

    record('The clock', "it is set by $what, and set right again",
           'revisions go on, history is in their order; nobody waits; another '
           . 'nginx, whose clock goes right, follows',
           @faults ? join('; ', @faults)
           : 'revisions went on, history was in their order; nobody waited; '
             . 'another nginx followed');
}

$t->done;
