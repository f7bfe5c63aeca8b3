#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# The journal, where a call fails at any point of a write: what is answered
# with 503 has changed nothing, neither what serves nor what is kept, and the
# next write goes on without a gap.

use strict;
use warnings;

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

my %says = errors();
my @errors = sort keys %says;

my %step = steps();
my %no_call = map { $_ => 1 } no_calls();
my @writes = writes($t);
my $weight = 0;
my %tried;


# another one each time

sub other { return $weight = $weight % 70 + 1 }


# what becomes of a journal of which a sync has failed: one of the last records

sub anew {
    my @lines = split /^/, mended($_[0]);

    return join '', @lines > 4 ? @lines[-4 .. -1] : @lines;
}


# a write, with requests to all workers while it is under way; returns its
# answer, and what is wrong with what these got

sub write_under_load {
    my ($before) = @_;

    my %worker = %{ $t->each_worker('/pid') };
    my $writer = $t->http->connect;

    change_by($writer, other());

    my @got = map { ask($_) } values %worker;
    my $answer = $writer->receive;
    my $allowed = join '|', map { quotemeta } @{ $before->{decisions} };
    my @odd = $answer->{status} == 200 ? grep { / is / } @got
                                       : grep { !/^(?:$allowed)\z/ } @got;

    return ($answer, @odd);
}


# -- the points of each write

hits($t);
change($t, other());

for (@writes) {
    my ($what, $prepare, $points) = @$_;
    my @passed;

    # unless somebody who looks after the journal was first

    wait_until(sub {
        my %seen;

        $prepare->();
        hits($t);
        change($t, other())->{status} == 200 or return 0;
        @passed = grep { !$seen{$_}++ } hits($t);

        return "@passed" eq "@$points";
    });

    is_deeply(\@passed, $points, "$what: its points, in order");
}


# -- calls that fail, and the change is refused

for (@writes) {
    my ($what, $prepare, $points, $durable) = @$_;

    my $late;

    for my $point (@$points) {
        $late ||= $durable && $point eq $durable;

        # before that it is a change as any other

        next if $no_call{$point} || $durable && !$late;

        my $name = "$what, $point";
        my @faults;

        $tried{$point} = 1;

        # what fails behind the point at which it is durable is no failure

        my $wanted = $late ? 200 : 503;

        for my $error (@errors) {
            my $before = seen($t);
            my $revision = revision($before);

            if ($late) {
                fill($t);
                $before = seen($t);
                $revision = revision($before) + 1;
                arm($t, $point => $error);

            } else {
                arm($t, $point => $error);
                $prepare->();
            }

            # in this order, as those who look after it may cut it, too

            my $file = lines($t);
            my $cut = () = $t->log =~ /: cut off /g;
            my ($answer, @odd) = write_under_load($before);
            my $after = seen($t);

            push @faults, "$error: $answer->{status}"
                if $answer->{status} != $wanted;
            push @faults, "$error: requests got: @odd" if @odd;

            if ($late) {
                push @faults, "$error: weight " . weight($after)
                    if weight($after) != $weight
                       || revision($after) != $revision;
                push @faults, "$error: " . gaps($t, $revision)
                    if gaps($t, $revision);

            } else {
                my $said = content($answer)->{detail} || '';
                my $kept;

                push @faults, "$error: $said"
                    if $said !~ /nothing was changed: .*: \Q$says{$error}\E$/;
                push @faults, "$error: no Retry-After"
                    if !$answer->{headers}{'retry-after'};
                push @faults, "$error: something was changed"
                    if !eq_hash($after, $before);

                # one who looks after the journal may have been there first, and
                # what he writes is there until it fails for him, too

                wait_until(sub {
                    $kept = lines($t);

                    return $kept eq $file || $kept eq mended($file)
                           || $point eq 'journal_found' && $kept eq anew($file);
                }, 2)
                    or push @faults, "$error: the journal was changed";

                push @faults, "$error: the log says that it was cut"
                    if $kept eq $file && $cut != (() = $t->log =~ /: cut off /g);
            }

            disarm($t);

            # also with a journal that is still as bad as it was, if it is there

            if ($error eq $errors[-1] && mended($file) ne '') {
                $t->crash;
                $t->start;

                push @faults, 'another state after a restart'
                    if !eq_hash(seen($t), $after);
            }

            my $next = change($t, other());
            my $now = seen($t);

            push @faults, "$error, next: $next->{status} $next->{body}"
                if $next->{status} != 200
                   || revision($next) != $revision + 1
                   || revision($now) != $revision + 1
                   || weight($now) != $weight;
            push @faults, "$error, next: " . gaps($t, $revision + 1)
                if gaps($t, $revision + 1);

            if ($error eq $errors[-1]) {
                $t->crash;
                $t->start;

                push @faults, 'the next one is lost by a restart'
                    if !eq_hash(seen($t), $now);
            }
        }

        is_deeply(\@faults, [], $name);

        record('Journal',
               "$step{$point} (`$point`) fails with " . join(', ', @errors)
               . ": $what",
               $late ? '200, the journal stays long'
                     : '503 with `Retry-After`, nothing is changed, also '
                       . 'after a restart; the next one is the next revision',
               @faults ? join('; ', @faults)
               : $late ? '200, the journal stayed long'
               : '503 with `Retry-After`, nothing was changed; the next one '
                 . 'was the next revision');
    }
}


# -- a write that is interrupted, or does less than it was asked for

for ([ 'EINTR once' => 'is interrupted by a signal' ],
     [ 'short=10' => 'takes 10 bytes at a time' ])
{
    my ($action, $what) = @$_;
    my $revision = revision(seen($t));

    hits($t);
    arm($t, journal_write => $action);

    my $answer = change($t, other());
    my $writes = grep { $_ eq 'journal_write' } hits($t);

    disarm($t);

    cmp_ok($writes, '>', 1, "$action: more calls than one");

    my $good = $answer->{status} == 200 && weight(seen($t)) == $weight
               && gaps($t, $revision + 1) eq '';

    ok($good, "$action: the line is whole");
    record('Journal', "writing a line $what", '200, the line is whole',
           "$answer->{status}, the line is " . ($good ? '' : 'not ')
           . 'whole');
}

for ([ 'EIO once' => 'EIO' ], [ 'ENOSPC' => 'ENOSPC' ]) {
    my ($action, $error) = @$_;

    # so many bytes are written, then it fails: "once" would be the first call

    my $before = seen($t);
    my $file = lines($t);

    arm($t, journal_write => 'short=10', journal_sync => $error);

    my $answer = change($t, other());

    disarm($t);

    is($answer->{status}, 503, "$error, short: refused");
    is_deeply(seen($t), $before, 'nothing was changed');
    is(lines($t), $file, 'nor the journal');
}


# -- what was appended can neither be kept nor taken back

for (
    [ journal_back      => 'taking it back', 'new' ],
    [ journal_back_sync => 'syncing what was taken back', 'old' ],
)
{
    my ($point, $what, $outcome) = @$_;

    $tried{$point} = 1;

    for my $end ('it works again', 'all of nginx is killed') {

        for my $error ('EIO', 'ENOSPC') {
            my $name = "$point, $error, $end";
            my $before = seen($t);
            my $revision = revision($before);
            my $inode = (stat journal($t))[1];
            my @faults;

            # nothing can be made sure until it works again

            arm($t, journal_sync => 'EIO', $point => $error,
                journal_temp => $error);

            my ($answer, @odd) = write_under_load($before);
            my $asked = $weight;
            my $said = content($answer)->{detail} || '';

            push @faults, "$answer->{status} $said"
                if $answer->{status} != 503
                   || $said !~ /^the outcome is unknown/
                   || !$answer->{headers}{'retry-after'};
            push @faults, "requests got: @odd" if @odd;

            # for as long as those who look after the journal come by, too

            my $until = Time::HiRes::time() + 0.6;

            while (Time::HiRes::time() < $until) {
                my $refused = change($t, other());

                push @faults, "meanwhile: $refused->{status} $refused->{body}"
                    if $refused->{status} != 503
                       || !$refused->{headers}{'retry-after'};

                select undef, undef, undef, 0.02;
            }

            push @faults, 'something was changed'
                if !eq_hash(seen($t), $before);

            disarm($t);

            if ($end =~ /killed/) {
                $t->crash;
                $t->start;

            } else {
                wait_until(sub { (stat journal($t))[1] != $inode }, 2)
                    or push @faults, 'the journal was not made anew';
            }

            my $now;

            wait_until(sub {
                $now = seen($t);
                return $outcome eq 'old' || revision($now) != $revision;
            }, 2);

            my $seen = revision($now) == $revision
                       && weight($now) == weight($before) ? 'old'
                     : revision($now) == $revision + 1
                       && weight($now) == $asked ? 'new' : 'other';

            push @faults, "the $seen document" if $seen ne $outcome;

            my $next = change($t, other());

            push @faults, "next: $next->{status} $next->{body}"
                if $next->{status} != 200
                   || revision($next) != revision($now) + 1;
            push @faults, gaps($t, revision($next))
                if gaps($t, revision($next));

            my $last = seen($t);

            $t->crash;
            $t->start;

            push @faults, 'another state after a restart'
                if !eq_hash(seen($t), $last);

            is_deeply(\@faults, [], $name);

            record('Journal',
                   "syncing the journal fails, and then $what (`$point`) with "
                   . "$error; then $end",
                   '503, the outcome is unknown; the old document until then, '
                   . 'other changes are refused; then the old or the new one, '
                   . 'and no gap',
                   @faults ? join('; ', @faults)
                   : '503, the outcome is unknown; the old document until '
                     . "then; then the $outcome one, and no gap");
        }
    }
}


# -- a worker died when its record was durable, and that cannot be made sure

{
    my @faults;

    $tried{journal_found} = 1;

    # what was found by the start is made sure once

    change($t, other());

    for my $error (@errors) {

        # so that the journal is known

        change($t, other());

        my $before = seen($t);
        my $revision = revision($before);

        arm($t, commit_publish => 'kill once', journal_found => $error,
            journal_temp => $error);

        my $died = killed($t, sub { change($t, other()) });
        my $asked = $weight;

        push @faults, "$error: $died->{status}" if $died->{status} != 599;

        # one that waited for the lock in vain has not come as far

        my $failed = 0;

        wait_until(sub {
            my $refused = change($t, other());

            push @faults, "$error: $refused->{status} $refused->{body}"
                if $refused->{status} != 503
                   || $refused->{body} !~ /nothing was changed/;

            $failed++ if $refused->{body} =~ /: \Q$says{$error}\E"/;

            return @faults || $failed == 3;
        }) or push @faults, "$error: it did not fail";

        push @faults, "$error: something was changed"
            if !eq_hash(seen($t), $before);

        disarm($t);

        wait_until(sub { revision(seen($t)) == $revision + 1 }, 2)
            or push @faults, "$error: the record is not in force";
        push @faults, "$error: it is another record"
            if weight(seen($t)) != $asked;

        my $next = change($t, other());

        push @faults, "$error, next: $next->{status} $next->{body}"
            if $next->{status} != 200 || revision($next) != $revision + 2;
        push @faults, "$error: " . gaps($t, $revision + 2)
            if gaps($t, $revision + 2);
    }

    is_deeply(\@faults, [], 'journal_found');

    record('Journal',
           'a worker is killed when its record is durable; syncing what it '
           . 'left (`journal_found`) fails with ' . join(', ', @errors),
           '503 until it can be made sure; then that record is in force',
           @faults ? join('; ', @faults)
                   : '503 until then; then that record was in force');
}


# -- that is all

is_deeply([ sort keys %tried, keys %no_call ],
          [ sort(points('journal_'), points('commit_')) ],
          'all points that there are');

$t->done;
