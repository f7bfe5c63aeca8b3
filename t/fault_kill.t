#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# A worker, the master or all of them are killed at any point of a write: the
# document is the old or the new one, whole, nothing that was answered is
# forgotten, and others write at once.

use strict;
use warnings;

use Fcntl qw(F_GETLK F_UNLCK F_WRLCK);
use FindBin;
use Test::More;
use Time::HiRes;

use lib "$FindBin::Bin/lib";
use Test::Gray;
use Test::Gray::Fault;
use Test::Gray::Journal;
use Test::Gray::Process;

plan(skip_all => 'make test FAILPOINTS=1') unless has_failpoints();

my $t = Test::Gray->new->config(journal_config(workers => 2))->start;

my $state = $t->dir . '/state';
my %step = steps();
my $weight = 0;
my @took;


sub other { return $weight = $weight % 70 + 1 }
sub temporary { return grep { !/\.lock$/ } glob "$state/.[!.]*" }


# the document of a revision, by the journal

sub kept_weight {
    my ($revision) = @_;

    my ($line) = lines($t) =~ /^(\{.*"revision":$revision,.*)$/m or return -1;

    return weight({ body => $line =~ s/.*"document"://r =~ s/\}\z//r });
}


# what is durable where the process is killed before that point

sub outcome {
    my ($points, $point, $durable, $new_at) = @_;

    my ($at) = grep { $points->[$_] eq $point } 0 .. $#$points;
    my ($new) = grep { $points->[$_] eq ($new_at || $durable
                                         || 'journal_sync') }
                0 .. $#$points;

    return $at >= $new ? 'new' : 'old';
}


# the points at which a kind of write is not as any other

sub points_of {
    my ($points, $durable) = @_;

    my $late = !$durable;

    return grep { $late ||= $_ eq $durable; $late } @$points;
}


# a write that comes to its point before those who look after the journal, and
# would come to it, too, have seen what was done to that: both workers stand
# still until it is asked for

sub write_first {
    my ($prepare, $durable, $point, $action, $weight) = @_;

    my %worker = %{ $t->each_worker('/pid') };
    my ($victim, $other) = keys %worker;

    $prepare->() if $durable;

    my $before = seen($t);

    stop_outside($victim, $other);

    $prepare->() if !$durable;

    arm($t, $point => "$action once");
    change_by($worker{$victim}, $weight);
    kill 'CONT', $victim;

    wait_until(sub { fired($t, $point) }) or die "$point was not passed\n";

    return ($before, $worker{$victim}, $other, $worker{$other});
}


sub stop {
    my (@pids) = @_;

    kill 'STOP', @pids;

    for my $pid (@pids) {
        wait_until(sub {
            (Test::Gray::Process::stat_of($pid))[0] eq 'T'
        })
        or die "$pid does not stop\n";
    }

    return;
}


# none of them with the lock, which the other one would wait for

sub stop_outside {
    my (@pids) = @_;

    for (1 .. 100) {
        stop(@pids);

        open my $lock, '+<', "$state/.lock" or die "lock: $!\n";
        my $range = pack('s s x4 q q i x4', F_WRLCK, 0, 0, 0, 0);

        fcntl $lock, F_GETLK, $range or die "fcntl: $!\n";
        return if (unpack 's', $range)[0] == F_UNLCK;

        kill 'CONT', @pids;
        Time::HiRes::sleep(0.01);
    }

    die "the lock is held all the time\n";
}


# -- a worker is killed, and another one is asked at once; whether it has found
# the document that the first one has left, and what is wrong

sub worker_dies {
    my ($prepare, $durable, $point) = @_;

    my ($first, $second) = (other(), other());
    my ($before, $died, $answer, @faults);

    killed($t, sub {
        ($before, my $victim, my $pid, my $writer) =
            write_first($prepare, $durable, $point, 'kill', $first);

        $died = eval { $victim->receive };

        my $since = Time::HiRes::time();

        kill 'CONT', $pid;

        $answer = eval { change_by($writer, $second)->receive };
        push @took, 1000 * (Time::HiRes::time() - $since);
    });

    disarm($t);

    return ('no', 'the other worker is gone, too') if !$answer;

    my $revision = revision($answer) || 0;
    my $seen = $revision == revision($before) + 2 ? 'new' : 'old';

    push @faults, 'it has answered' if $died;
    push @faults, "another worker: $answer->{status} $answer->{body}"
        if $answer->{status} != 200;
    push @faults, "another worker: revision $revision"
        if $revision != revision($before) + ($seen eq 'new' ? 2 : 1);
    push @faults, gaps($t, $revision) if gaps($t, $revision);
    push @faults, 'the record of the dead one is another one'
        if $seen eq 'new' && kept_weight($revision - 1) != $first;

    my $now = seen($t);

    push @faults, 'what was answered is not in force'
        if weight($now) != $second;

    $t->crash;
    $t->start;

    push @faults, 'another state after a restart' if !eq_hash(seen($t), $now);

    return ($seen, @faults);
}


for (writes($t)) {
    my ($what, $prepare, $points, $durable, $new) = @$_;

    for my $point (points_of($points, $durable)) {
        my $expected = outcome($points, $point, $durable, $new);
        my ($seen, @faults);

        # those who look after the journal may be the first to come there

        for (1 .. 5) {
            ($seen, @faults) = worker_dies($prepare, $durable, $point);
            last if @faults || $seen eq $expected;
        }

        push @faults, "the $seen document" if $seen ne $expected;

        is_deeply(\@faults, [], "$what, $point: a worker is killed");

        record('Processes that are killed',
               "a worker, before $step{$point} (`$point`): $what",
               'the old or the new document; another worker writes at once; '
               . 'no gap, and nothing is lost by a restart',
               @faults ? join('; ', @faults)
               : "the $expected document; another worker wrote at once; no "
                 . 'gap, nothing was lost');
    }
}

@took = sort { $a <=> $b } @took;

note(sprintf 'writes beside a worker that dies: %.1f ms, median %.1f, at '
             . 'most %.1f', @took[0, @took / 2, -1]);
cmp_ok($took[@took / 2], '<', 50, 'nobody has waited for the lock');


# -- all of nginx is killed

sub all_die {
    my ($prepare, $durable, $point) = @_;

    my @faults;
    my $asked = other();
    my ($before) = write_first($prepare, $durable, $point, 'stop', $asked);

    $t->crash;
    disarm($t);
    $t->start;

    my $after = seen($t);
    my $seen = eq_hash($after, $before) ? 'old' : 'new';

    push @faults, 'another document'
        if $seen eq 'new' && (revision($after) != revision($before) + 1
                              || weight($after) != $asked);

    my $answer = change($t, other());

    push @faults, "next: $answer->{status} $answer->{body}"
        if $answer->{status} != 200
           || revision($answer) != revision($after) + 1;
    push @faults, gaps($t, revision($answer)) if gaps($t, revision($answer));

    return ($seen, @faults);
}


for (writes($t)) {
    my ($what, $prepare, $points, $durable, $new) = @$_;

    for my $point (points_of($points, $durable)) {
        my $expected = outcome($points, $point, $durable, $new);
        my ($seen, @faults);

        # what the journal had is gone by what was done here

        next if $what =~ /makes the journal/ && $expected eq 'old';

        for (1 .. 5) {
            ($seen, @faults) = all_die($prepare, $durable, $point);
            last if @faults || $seen eq $expected;
        }

        push @faults, "the $seen document" if $seen ne $expected;

        is_deeply(\@faults, [], "$what, $point: all is killed");

        record('Processes that are killed',
               "all of nginx, before $step{$point} (`$point`): $what",
               'after a start the old or the new document, whole; the next '
               . 'change is the next revision',
               @faults ? join('; ', @faults)
               : "the $expected document; the next change was the next "
                 . 'revision');
    }
}

ok(wait_until(sub { !temporary() }), 'what was not finished is removed')
    or diag(temporary());


# -- the master alone, and another nginx is started beside its workers

{
    my %old = %{ $t->each_worker('/pid') };
    my @old = values %old;
    my $master = delete $t->{master};
    my @faults;

    # and not the group that it leads

    kill 'KILL', $master;
    wait_until(sub { !alive($master) });
    $t->reap($master);

    for my $connection (@old) {
        my $answer = change_by($connection, other())->receive;

        push @faults, "without a master: $answer->{status}"
            if $answer->{status} != 200;
    }

    my $before = $old[0]->get('/gray/releases/app');

    $t->start;

    my @pids = $t->workers;
    my %new;

    wait_until(sub {
        %new = (%new, %{ $t->each_worker('/pid') });
        return 2 == grep { $new{$_} } @pids;
    });

    my @new = @new{@pids};
    my $now = $new[0]->get('/gray/releases/app');

    push @faults, 'the new one begins with another state'
        if $now->{body} ne $before->{body};

    for ([ $old[0], $new[0] ], [ $new[1], $old[1] ], [ $old[1], $new[1] ]) {
        my ($writer, $reader) = @$_;

        my $revision = revision($reader->get('/gray/releases/app'));
        my $answer = change_by($writer, other())->receive;

        push @faults, "one of both: $answer->{status} $answer->{body}"
            if $answer->{status} != 200
               || revision($answer) != $revision + 1;

        wait_until(sub {
            weight($reader->get('/gray/releases/app')) == $weight
        }, 1)
            or push @faults, 'the other one does not follow';
    }

    push @faults, gaps($t) if gaps($t);

    kill 'KILL', keys %old;
    wait_until(sub { !grep { alive($_) } keys %old });

    my $last = seen($t);

    $t->crash;
    $t->start;

    push @faults, 'another state after a restart' if !eq_hash(seen($t), $last);

    is_deeply(\@faults, [], 'the master alone');

    record('Processes that are killed',
           'the master alone; then another nginx is started beside the workers '
           . 'that are left',
           'these go on to write; both write and follow within a second; '
           . 'nothing is lost by a restart',
           @faults ? join('; ', @faults)
           : 'these went on; both wrote and followed; nothing was lost');
}

$t->done;
