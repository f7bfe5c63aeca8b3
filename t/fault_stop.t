#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# A worker that stands still while it has the lock, and a disk that is slow:
# who writes is refused after 100 ms, and no request waits.  TEST_LONG=1: it
# stands still for half a minute (and TEST_TIME_LIMIT=600).

use strict;
use warnings;

use FindBin;
use POSIX       ();
use Test::More;
use Time::HiRes ();

use lib "$FindBin::Bin/lib";
use Test::Gray;
use Test::Gray::Fault;
use Test::Gray::Journal;
use Test::Gray::Process;

plan(skip_all => 'make test FAILPOINTS=1') unless has_failpoints();

my $t = Test::Gray->new->config(journal_config(workers => 3))->start;

my $seconds = $ENV{TEST_LONG} ? 30 : 5;

# by which requests may be longer, in ms: more than what other processes do to
# one of a hundred, and less than anything that waits for a lock or a disk

my $bound = 60;

# nor any single one by that: a pause would be one that is longer than others

my $pause = 300;

my $sleep = 1500;
my %step = steps();
my $group = 'Processes that stand still, slow disks';
my $weight = 0;


sub other { return $weight = $weight % 70 + 1 }


# Another process asks a worker all the time, until it is told to end.  What
# is returned tells how long requests of a span of time took, in ms without
# the time for which others had the processor: the hundredth that took
# longest; the longest one; how many there were; and how many were lost.

sub load {
    my (@pids) = @_;

    my $file = $t->dir . "/load.@pids";

    unlink "$file.end", "$file.begun";

    my $child = $t->child(sub {
        my %worker = %{ $t->each_worker('/pid') };
        my @lines;

        open my $fh, '>', $file or die "$file: $!\n";
        $fh->autoflush(1);

        # answered in any case, by the master if not by others

        while (!-e "$file.end") {
            for my $pid (@pids) {
                my @kept = map { kept_waiting($_) } $$, $pid;
                my $since = Time::HiRes::time();
                my $answer = eval { $worker{$pid}->get('/on?uid=1') } || {};
                my $now = Time::HiRes::time();

                my @waited = sort { $a <=> $b }
                             map { kept_waiting($_) - shift @kept } $$, $pid;

                printf $fh "%f %f %s\n", $since,
                       1000 * ($now - $since - $waited[-1]),
                       ($answer->{status} || '') eq '200' ? 'ok' : 'lost';
            }

            select undef, undef, undef, 0.002;
        }

        POSIX::_exit(0);
    });

    wait_until(sub { -s $file }) or die "nothing is asked\n";

    return sub {
        my ($from, $to) = @_;

        if (!defined $from) {
            open my $fh, '>', "$file.end" or die "$file.end: $!\n";
            close $fh;
            wait_until(sub { !alive($child) });
            $t->reap($child);
            return;
        }

        my (@took, $lost);

        for (split /^/, slurp($file)) {
            my ($since, $took, $how) = split or next;

            next if !defined $how || $since < $from || $since > $to;
            push @took, $took;
            $lost++ if $how ne 'ok';
        }

        @took = sort { $a <=> $b } @took;

        return ($took[0.99 * $#took], $took[-1], scalar @took, $lost || 0);
    };
}


# what the load says of a time against the one before it

sub slower {
    my ($name, $load, $from, $begun, $to) = @_;

    my ($before) = $load->($from, $begun);
    my ($p99, $longest, $count, $lost) = $load->($begun, $to);

    return ('nothing was asked') if !$count;

    note(sprintf '%s: p99 of %d requests %.1f ms, the longest %.1f ms; before, '
                 . 'p99 %.1f ms', $name, $count, $p99, $longest, $before);

    return ($lost ? "$lost requests were not answered" : (),
            $p99 - $before >= $bound || $longest >= $pause
            ? 'requests have waited' : ());
}


sub now { return Time::HiRes::time() }


# -- a worker stands still

my @points = qw(commit_locked journal_open journal_write journal_sync
                journal_appended commit_publish commit_published);

for my $point (@points) {
    my %worker = %{ $t->each_worker('/pid') };
    my ($still, $other, $third) = sort { $a <=> $b } keys %worker;
    my $before = $worker{$other}->get('/gray/releases/app');
    my $load = load($other, $third);
    my $from = now();
    my (@took, @faults);

    select undef, undef, undef, 0.7;

    arm($t, $point => 'stop once');
    change_by($worker{$still}, other());

    push @faults, 'another one stands still' if stopped($t) != $still;

    my $asked = $weight;
    my $begun = now();
    my $long = $point eq 'journal_sync' || $ENV{TEST_LONG} ? $seconds : 1;

    while (now() - $begun < $long) {
        my $since = now();
        my $answer = change_by($worker{$other}, other())->receive;

        push @took, 1000 * (now() - $since);

        push @faults, "others: $answer->{status} $answer->{body}"
            if $answer->{status} != 503
               || !$answer->{headers}{'retry-after'};
    }

    my $to = now();
    my $meanwhile = $worker{$third}->get('/gray/releases/app');

    # all but the last step were done there

    my $published = $point eq 'commit_published';

    push @faults, 'what serves was changed'
        if !$published && $meanwhile->{body} ne $before->{body};

    kill 'CONT', $still;

    my $late = $worker{$still}->receive;

    push @faults, "then: $late->{status} $late->{body}"
        if $late->{status} != 200
           || revision($late) != revision($before) + 1
           || weight($late) != $asked;

    my $next = change_by($worker{$other}, other())->receive;

    push @faults, "next: $next->{status} $next->{body}"
        if $next->{status} != 200
           || revision($next) != revision($before) + 2;
    push @faults, gaps($t, revision($before) + 2)
        if gaps($t, revision($before) + 2);
    push @faults, 'workers differ'
        if grep { revision($_->get('/gray/releases/app'))
                  != revision($before) + 2 } values %worker;

    push @faults, slower($point, $load, $from, $begun, $to);
    $load->();
    disarm($t);

    @took = sort { $a <=> $b } @took;

    note(sprintf '%s: %d refused after %.0f to %.0f ms', $point,
                 scalar @took, @took[0, -1]);
    push @faults, sprintf 'refused after %.0f ms', $took[0] if $took[0] < 90;
    push @faults, sprintf 'refused after %.0f ms', $took[0.9 * $#took]
        if $took[0.9 * $#took] > 400;

    is_deeply(\@faults, [], "$point, stop");

    record($group,
           "a worker stands still before $step{$point} (`$point`)",
           'others: 503 with `Retry-After` after 100 ms; no request waits; '
           . 'once it goes on its change is answered, and no revision is '
           . 'missing',
           @faults ? join('; ', @faults)
           : 'others: 503 with `Retry-After` after 100 ms; no request waited; '
             . 'then 200, and no revision was missing');
}


# -- the disk is slow

sub slow {
    my ($what, $expected, $happened, $code) = @_;

    my $before = seen($t);
    my $connection = $t->http->connect;
    my $pid = $connection->get('/pid')->{body};
    my $revision = revision($before) + 1;
    my $asked = other();

    hits($t);
    arm($t, journal_sync => "sleep=$sleep once");
    change_by($connection, $asked);
    wait_until(sub { fired($t, 'journal_sync') }) or die "no sync\n";

    my @faults = $code->($connection, $pid, $revision);

    disarm($t);

    wait_until(sub { revision(seen($t)) == $revision }, 5)
        or push @faults, 'the change is lost';

    push @faults, 'it is another change' if weight(seen($t)) != $asked;
    push @faults, gaps($t, $revision) if gaps($t, $revision);

    my $next = change($t, other());

    push @faults, "next: $next->{status} $next->{body}"
        if $next->{status} != 200 || revision($next) != $revision + 1;

    is_deeply(\@faults, [], "a slow disk: $what");

    record($group, "a sync takes ${sleep} ms: $what", $expected,
           @faults ? join('; ', @faults) : $happened);
}


sub answered {
    my ($connection, $revision) = @_;

    my $answer = eval { $connection->receive } or return 'no answer';

    return "$answer->{status} $answer->{body}"
        if $answer->{status} != 200 || revision($answer) != $revision;
    return;
}


{
    my %worker = %{ $t->each_worker('/pid') };
    my ($pid) = sort { $a <=> $b } keys %worker;
    my $load = load($pid);
    my $from = now();
    my $before = revision(seen($t));
    my @faults;

    select undef, undef, undef, 1.5;

    arm($t, journal_sync => 'sleep=3000 once');

    my $begun = now();

    change_by($worker{$pid}, other());
    wait_until(sub { fired($t, 'journal_sync') }) or die "no sync\n";
    push @faults, answered($worker{$pid}, $before + 1);

    my $to = now();

    push @faults, 'it was not slow' if $to - $begun < 3;
    push @faults, slower('the worker that syncs', $load, $from, $begun, $to);
    $load->();
    disarm($t);

    is_deeply(\@faults, [], 'a slow disk: requests');

    record($group, 'a sync takes 3000 ms: requests to the worker that waits '
                   . 'for it',
           'none waits; then 200',
           @faults ? join('; ', @faults) : 'none waited; then 200');
}

slow('other changes, by the same worker and by another one',
     '503 with `Retry-After` from another one; the same one takes them up',
     '503 with `Retry-After` from another one; the same one took them up',
     sub {
    my ($connection, $pid, $revision) = @_;

    my %worker = %{ $t->each_worker('/pid') };
    my ($another) = grep { $_ != $pid } keys %worker;
    my $kept = $weight;
    my @faults;

    # what it is, is judged once it is its turn, so it changes nothing new

    change_by($worker{$pid}, $kept);

    my $answer = change_by($worker{$another}, $kept + 1)->receive;

    push @faults, "another one: $answer->{status}"
        if $answer->{status} != 503 || !$answer->{headers}{'retry-after'};
    push @faults, answered($connection, $revision);
    push @faults, answered($worker{$pid}, $revision);

    return @faults;
});

slow('the client goes', 'the change is made', 'the change was made', sub {
    my ($connection, $pid, $revision) = @_;

    close $connection->{socket};

    return;
});

slow('a reload', '200; then the old worker ends',
     '200; then the old worker ended', sub {
    my ($connection, $pid, $revision) = @_;

    my @faults;
    my @old = $t->workers;

    $t->reload;

    push @faults, answered($connection, $revision);

    # nginx waits for the client to close it first

    close $connection->{socket};

    wait_until(sub { !grep { alive($_) } @old }, 5)
        or push @faults, 'an old worker is left';

    return @faults;
});

for ([ QUIT => 'it is told to end (SIGQUIT)' ],
     [ TERM => 'it is told to end at once (SIGTERM)' ])
{
    my ($signal, $what) = @$_;

    slow($what,
         $signal eq 'QUIT' ? '200; then it ends; nothing is lost'
                           : 'it ends; the change is there after a start',
         $signal eq 'QUIT' ? '200; then it ended; nothing was lost'
                           : 'it ended; the change was there after a start',
         sub {
        my ($connection, $pid, $revision) = @_;

        my $master = $t->{master};
        my @pids = ($master, $t->workers);
        my @faults;

        kill $signal, $master;

        push @faults, answered($connection, $revision) if $signal eq 'QUIT';
        close $connection->{socket};

        wait_until(sub { !grep { alive($_) } @pids }, 5)
            or push @faults, 'it has not ended';

        $t->stop;
        disarm($t);
        $t->start;

        return @faults;
    });
}

# then nginx closes a connection whose request is not answered yet; who reloads
# has waited for the lock before

$sleep = 3000;

$t->stop;
$t->config(journal_config(workers => 3,
                          main => 'worker_shutdown_timeout 300ms;'));
$t->start;

slow('a reload, and worker_shutdown_timeout closes the connection',
     'no answer; the change is made; then the old worker ends',
     'no answer; the change was made; then the old worker ended', sub {
    my ($connection, $pid, $revision) = @_;

    my @faults;

    $t->reload;

    my $answer = eval { $connection->receive };

    push @faults, "$answer->{status} $answer->{body}" if $answer;
    push @faults, 'the old worker has ended before' if !alive($pid);

    wait_until(sub { !alive($pid) }, 5)
        or push @faults, 'the old worker is left';

    return @faults;
});

$t->done;
