#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# All of nginx's threads are busy, and their queue is full: a change waits, or
# is refused, and no request does.

use strict;
use warnings;

use FindBin;
use Test::More;
use Time::HiRes ();

use lib "$FindBin::Bin/lib";
use Test::Gray;
use Test::Gray::Fault;
use Test::Gray::Journal;
use Test::Gray::Process;

plan(skip_all => 'make test FAILPOINTS=1') unless has_failpoints();

my $group = 'Memory and threads that are short';
my $weight = 0;


sub other { return $weight = $weight % 70 + 1 }


# the only thread writes a list for so many ms; then the code is run

sub busy {
    my ($t, $ms, $code) = @_;

    my $list = $t->http->connect;

    arm($t, list_write => "sleep=$ms once");
    $list->send(Test::Gray::HTTP::request_text(
        'PUT', '/gray/lists/vip', [ 'Content-Type' => 'text/plain' ],
        'user-' . other() . "\n"));
    wait_until(sub { fired($t, 'list_write') }) or die "no list is written\n";

    my @faults = $code->();
    my $answer = $list->receive;

    push @faults, "the list: $answer->{status} $answer->{body}"
        if $answer->{status} !~ /^20[01]$/;

    disarm($t);

    return @faults;
}


sub ask_one { return ask($_[0]->http->connect) }
sub now { return Time::HiRes::time() }


# -- busy

{
    my $t = Test::Gray->new->config(journal_config(
        workers => 1, main => 'thread_pool default threads=1;'))->start;

    my $before = seen($t);
    my $begun = now();

    my @faults = busy($t, 1500, sub {
        my $writer = $t->http->connect;
        my @faults;

        change_by($writer, other());

        # in all that time

        while (now() - $begun < 1.2) {
            my $since = now();

            push @faults, 'something was changed'
                if ask_one($t) ne $before->{decisions}[0];
            push @faults, 'a request waits' if now() - $since > 0.5;

            select undef, undef, undef, 0.02;
        }

        my $answer = $writer->receive;

        push @faults, "$answer->{status} $answer->{body}"
            if $answer->{status} != 200
               || revision($answer) != revision($before) + 1;
        push @faults, 'the thread was not busy' if now() - $begun < 1.5;

        return @faults;
    });

    push @faults, gaps($t, revision($before) + 1)
        if gaps($t, revision($before) + 1);

    is_deeply(\@faults, [], 'all threads are busy');

    record($group, 'all threads of nginx are busy: a change',
           'it is made as soon as there is one; no request waits',
           @faults ? join('; ', @faults)
           : 'it was made as soon as there was one; no request waited');
}


# -- and their queue is full

{
    my $t = Test::Gray->new->config(journal_config(
        workers => 1, main => 'thread_pool default threads=1 max_queue=1;')
        )->start;

    my $before = seen($t);
    my $file = lines($t);

    my @faults = busy($t, 2500, sub {
        my @faults;

        # by then the journals are to be looked at, too

        select undef, undef, undef, 1;

        for (1 .. 3) {
            my $answer = change($t, other());

            push @faults, "$answer->{status} $answer->{body}"
                if $answer->{status} != 503
                   || !$answer->{headers}{'retry-after'}
                   || $answer->{body}
                      !~ /nothing was changed: the queue of threads/;
        }

        push @faults, 'something was changed'
            if !eq_hash(seen($t), $before) || lines($t) ne $file;

        return @faults;
    });

    my $answer;

    wait_until(sub { ($answer = change($t, other()))->{status} == 200 }, 2);

    push @faults, "then: $answer->{status} $answer->{body}"
        if $answer->{status} != 200
           || revision($answer) != revision($before) + 1;
    push @faults, gaps($t, revision($before) + 1)
        if gaps($t, revision($before) + 1);

    # who looks after journals was refused, too, and goes on

    unlink journal($t);
    wait_until(sub { lines($t) ne '' }, 2)
        or push @faults, 'nobody looks after journals any more';

    is_deeply(\@faults, [], 'their queue is full');

    record($group, 'the queue of threads of nginx is full: a change',
           '503 with `Retry-After`, nothing is changed; then it goes on',
           @faults ? join('; ', @faults)
           : '503 with `Retry-After`, nothing was changed; then it went on');
}

Test::Gray->done;
