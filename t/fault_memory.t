#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# Memory is short at any allocation of a write that goes to the journal, once
# or from then on: what is answered is true, no process dies, and the next
# write goes on without a gap.

use strict;
use warnings;

use FindBin;
use Test::More;

use lib "$FindBin::Bin/lib";
use Test::Gray;
use Test::Gray::Fault;
use Test::Gray::Journal;
use Test::Gray::Process;

plan(skip_all => 'make test FAILPOINTS=1') unless has_failpoints();
plan(skip_all => 'no cc') if (capture('cc', '--version'))[0] != 0;

my $t = Test::Gray->new->config(journal_config(workers => 1));

# another nginx, with the same directory and a zone of its own

my $second = Test::Gray->new;

$second->config(journal_config(workers => 1, state => $t->dir . '/state'));

my $library = $t->dir . '/malloc_fails.so';
my ($status, undef, $said) =
    capture(qw(cc -Wall -Wextra -Werror -shared -fPIC -o), $library,
            "$FindBin::Bin/lib/malloc_fails.c");

die $said if $status != 0;

my $fails = $t->dir . '/failpoints/malloc';
my $weight = 0;
my $group = 'Memory and threads that are short';


sub start {
    my ($libraries) = @_;

    local $ENV{LD_PRELOAD} = $library;
    local $ENV{GRAY_MALLOC_FAILS} = $fails;
    local $ENV{GRAY_MALLOC_LIBRARIES} = $libraries;

    return $t->start;
}


sub other { return $weight = $weight % 70 + 1 }


# "N", the Nth allocation fails; "N+", that and all that follow; "0", none

sub short {
    my ($which) = @_;

    open my $fh, '>', "$fails.new" or die "$fails.new: $!\n";
    print $fh $which;
    close $fh;
    chmod 0666, "$fails.new";
    rename "$fails.new", $fails or die "$fails: $!\n";

    return;
}


# there is enough again; returns how many allocations there were

sub enough {
    my $count = () = slurp($fails) =~ /\./g;

    unlink $fails;

    return $count;
}


# by the other nginx, so that the journal has something new

sub change_elsewhere {
    my $answer = change($second, other());

    die "$answer->{status} $answer->{body}\n" if $answer->{status} != 200;

    return;
}


sub revert {
    my ($before) = @_;

    return $t->api('POST', '/gray/releases/app/revert',
                   { revision => revision($before) - 1 });
}


# what a write is, what is done before, and how it is asked for; "second": with
# what another nginx has written before

my $change = [ 'a change', sub { }, sub { change($t, other()) } ];

# in these it is the same in libraries, and for another document it takes long

my @others = (
    [ 'the change back to a revision of before', sub { change($t, other()) },
      \&revert ],
    [ 'DELETE, of what was changed', sub { change($t, other()) },
      sub { $t->api('DELETE', '/gray/releases/app') } ],
    [ 'a change that makes the journal', sub { unlink journal($t) },
      sub { change($t, other()) } ],
    [ 'a change that cuts off a torn line', sub { tear($t) },
      sub { change($t, other()) } ],
    [ 'a change that sets a damaged journal aside', sub { damage($t) },
      sub { change($t, other()) } ],
    [ 'a change that makes a long journal short', sub { fill($t) },
      sub { change($t, other()) } ],
);

my $second_one =
    [ 'a change, where the journal has a newer one of another nginx',
      \&change_elsewhere, sub { change($t, other()) }, 'second' ];


# one write, where an allocation fails; what is wrong, and how many there were

sub write_short {
    my ($which, $prepare, $write, $found) = @_;

    my $before = $t->get('/gray/releases/app');
    my @faults;

    $prepare->();
    $before = $t->get('/gray/releases/app') if !$found;

    my $revision = revision($before);

    short($which);

    my $answer = $write->($before);
    my $site = $t->get('/on?uid=user-1')->{status};
    my $count = enough();

    push @faults, "requests get $site" if $site != 200;
    push @faults, "$answer->{status} $answer->{body}"
        if $answer->{status} !~ /^(?:200|503)$/;

    # what the other one has written comes into force in any case

    if ($found) {
        $revision++;

        wait_until(sub {
            revision($t->get('/gray/releases/app')) >= $revision;
        }, 2)
        or push @faults, 'what another nginx has written is not in force';
    }

    my $now = $t->get('/gray/releases/app');
    my $added = revision($now) - $revision;

    push @faults, "200, $added revisions more"
        if $answer->{status} == 200 && $added != 1;
    push @faults, "$answer->{status}, $added revisions more"
        if $answer->{status} != 200 && $added != 0 && $added != 1;
    push @faults, "a revision more, and the answer is: $answer->{body}"
        if $added && $answer->{body} =~ /nothing was changed/;
    push @faults, "another document than before"
        if !$added && !$found && $now->{body} ne $before->{body};

    my $next = change($t, other());

    push @faults, "next: $next->{status} $next->{body}"
        if $next->{status} != 200 || revision($next) != revision($now) + 1;
    push @faults, gaps($t, revision($next)) if gaps($t, revision($next));

    return ($count, $answer->{status}, @faults);
}


sub try_all {
    my ($what, $prepare, $write, $found) = @_;

    my ($worker) = $t->workers;
    my ($count, undef, @faults) = write_short(0, $prepare, $write, $found);
    my %status;

    push @faults, 'without a fault' if @faults;
    cmp_ok($count, '>', 5, "$what: $count allocations");

    for my $n (1 .. $count) {
        # until it looks again takes long

        for my $which ($n, $found ? () : "$n+") {
            my (undef, $status, @seen) =
                write_short($which, $prepare, $write, $found);

            $status{$status}++;
            push @faults, map { "$which: $_" } @seen;
        }

        last if @faults > 10;
    }

    push @faults, 'a worker has died' if join(' ', $t->workers) ne $worker;

    note(join ', ', map { "$_: $status{$_}" } sort keys %status);
    is_deeply(\@faults, [], $what) or diag(join "\n", @faults);
    ok($status{503}, 'some were refused');

    record($group,
           'each of the allocations of the module fails, alone'
           . ($found ? '' : ' or with all that follow') . ": $what",
           '200 or 503, and where it says so nothing is changed; no process '
           . 'dies, no revision is missing',
           @faults ? join('; ', @faults)
           : '200 or 503, and where it said so nothing was changed; none died, '
             . 'none was missing');

    return;
}


sub restart {
    my ($libraries) = @_;

    my $before;

    # a worker tries again every second to compile what it could not

    wait_until(sub {
        $before = seen($t);
        my $revision = revision($before);
        return !grep { !/ $revision$/ }
               map { split /, / } @{ $before->{decisions} };
    }, 3);

    $t->crash;
    start($libraries);
    is_deeply(seen($t), $before, 'the same after a restart');

    return;
}


start('/libcjson. /libpcre2-');

is(change($t, other())->{status}, 200, 'a revision to begin with');

try_all(@$change);
restart('');
try_all(@$_) for @others;
$second->start;
try_all(@$second_one);
restart('');

$t->done;
