#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# soak.pl [--seed=N] [--reloads=N] [--changes=N] [--connections=N] [--keep]
#         [--no-journal] [--no-wrk]
#
# The load of util/torture without its violence: for TIME seconds (3600) a
# release is changed, so many times a second (5), asked for, and wrk runs;
# there are some reloads (3; 1 in less than 10 minutes).  Ends with status 1
# where memory, descriptors or the journal grow, or an answer cannot be true.
#
# What is bounded, and why:
#
# anonymous memory   of each worker, from a reload to the next one, as a slope
#                    by least squares.  A worker's pages of the zone are shared
#                    ones, and come to an end, so these are not in it.  A leak
#                    of 64 bytes with each change is 1.1 MB an hour, one of a
#                    byte with a request far more: so 1 MB is the bound.  A heap
#                    grows in steps of 132 kB, and a step in a life of T makes a
#                    slope of 1.5 * 132 kB / T at most: as much is added, so
#                    short lives have wide bounds.
#                    Threads keep what they have needed once, an arena each, so
#                    each worker makes some hundred changes before it counts.
#                    Of the master, which does nothing between reloads: two such
#                    steps, from the first reload on.
# descriptors        that are no sockets: one more than at the start, the lock
#                    of the state directory, which is opened once.  Sockets
#                    come and go with connections: when these are gone, not one
#                    more than before there were any.
# the zone           free memory: not less than after the first reload
# the journal        lines: twice what is kept, and one

use strict;
use warnings;

use Getopt::Long ();

my (%option, $seconds);

BEGIN {
    $seconds = $ENV{TIME} || 3600;

    %option = (reloads => $seconds < 600 ? 1 : 3, changes => 5,
               connections => 16, follow => 1, history => 20, journal => 1,
               wrk => 1);

    Getopt::Long::GetOptions(\%option, 'seed=i', 'reloads=i', 'changes=f',
                             'connections=i', 'history=i', 'keep', 'verbose',
                             'journal!', 'wrk!')
        && !@ARGV && $seconds =~ /^\d+$/
        or die "usage: TIME=SECONDS util/soak [--seed=N] [--no-...]\n";

    $ENV{TEST_TIME_LIMIT} = 2 * $seconds + 300;
    $ENV{TEST_VERBOSE} = 1 if $option{keep};
}

use List::Util qw(max min sum);

use Test::Gray;
use Test::Gray::Process;

use Torture::Nginx;
use Torture::Record;
use Torture::Run;
use Torture::Tormentor;

$| = 1;

# kB an hour, and the step of a heap

my $most = 1024;
my $step = 132;

# changes by which the file has been compacted in each thread: with 4 threads,
# memory has come to within 50 kB of where it stays

my $first = 200;

my $seed = defined $option{seed} ? $option{seed} : time % 100000;

srand($seed);

# each worker is to be reached, and to have its share

my $run = Torture::Run->new(%option, seed => $seed, reuseport => 1,
                             threads => 4);
my $t = $run->t;

printf "soak: %d s, %d reloads, %g changes a second, --seed=%d, nginx %s, "
       . "%s\n", $seconds, $option{reloads}, $option{changes}, $seed,
       $t->version, $run->journal ? 'journal' : 'no-journal';

my $tormentor = Torture::Tormentor->new(
    t => $t, what => {}, verbose => $option{verbose});

$tormentor->start;
die "nginx does not start\n" if $tormentor->{failed};

# descriptors of each, before there is a connection; workers take their name last

my (@lives, %journal, @free);

wait_until(sub {
    return current($t->found_masters) == $Torture::Nginx::workers;
}) or die "workers do not start\n";

my %quiet = measure();

$run->load($seconds + 600);
$run->writer($_, 2 / $option{changes}) for 1, 2;
$run->decider('kept-1', 0.02, 1);
$run->decider('fresh-1', 0.02, 0);
$run->reader('reader-1', 0.2) if $run->journal;

my $interval = max(0.2, min(5, $seconds / 100));
my $part = $seconds / ($option{reloads} + 1);

for my $generation (0 .. $option{reloads}) {
    if ($generation) {
        my %old = map { $_ => 1 } $t->found_workers;

        $tormentor->reload;
        $tormentor->wait(20, sub {
            return !grep { $old{$_} } current($t->found_masters);
        });
    }

    $run->warm($generation, $first, current($t->found_masters));

    my $until = now() + $part;

    while (now() < $until) {
        look(now(), $generation);
        zone($generation);
        $tormentor->wait(min($interval, max(0.01, $until - now())));
    }
}

$run->end_writers;
$run->end_others;

# connections to upstreams are kept for a while

my %after;

wait_until(sub {
    %after = measure();
    return !more(\%quiet, \%after);
}, 70);

$run->final;

my $checker = $run->check($tormentor);


# -- what is found

printf "%-8s %8s %7s %7s %7s %9s %9s %9s %7s\n", 'who', 'samples', 'rss',
       'pss', 'anon', 'rss/h', 'anon/h', 'bound/h', 'fds';

for my $life (@lives) {
    my $master = $life->{name} eq 'master';

    # it has two configurations for a moment, and keeps the memory

    if ($master) {
        my $first = grep { $_ == 0 } @{ $life->{generation} };

        splice @{ $life->{$_} }, 0, $first
            for qw(time rss pss anon files sockets);
    }

    next if @{ $life->{time} } < 3;

    my ($hours, %slope) = slopes($life);
    my @anon = @{ $life->{anon} };
    my ($bound, $grows) = ($most + 1.5 * $step / $hours, $slope{anon});

    ($bound, $grows) = (2 * $step, $anon[-1] - $anon[0]) if $master;

    printf "%-8s %8d %7d %7d %7d %9.0f %9.0f %9s %7s\n", $life->{name},
           scalar @anon, map({ $life->{$_}[-1] } qw(rss pss anon)),
           @slope{qw(rss anon)}, $master ? '-' : int $bound,
           "$life->{files}[-1]+" . max(@{ $life->{sockets} });

    $checker->violation('memory', undef,
                        sprintf '%s grows by %.0f kB%s, from %d to %d',
                                $life->{name}, $grows,
                                $master ? '' : ' an hour', @anon[0, -1])
        if $grows > $bound;

    $checker->violation('descriptors', undef,
                        "$life->{name} has $life->{files}[-1] files, and had "
                        . $life->{files}[0])
        if $life->{files}[-1] > $life->{files}[0] + 1;
}

$checker->violation('descriptors', undef, "at the end $_")
    for more(\%quiet, \%after);

# the first reload may make a place for something

my @later = map { $_->[1] } grep { $_->[0] > 0 } @free;

if (@later) {
    printf "free in the zone: %d at the start, %d after the first reload, %d "
           . "at the end\n", $free[0][1], $later[0], $later[-1];

    $checker->violation('zone', undef, "free memory went from $later[0] to "
                                       . $later[-1])
        if $later[-1] < $later[0];
}

if ($run->journal) {
    printf "the journal: at most %d lines, %d bytes\n", @journal{qw(lines
                                                                    bytes)};

    $checker->violation('journal', undef,
                        "it had $journal{lines} lines, and $option{history} "
                        . 'are to be kept')
        if $journal{lines} > 2 * $option{history} + 1;
}

$run->report;

my @violations = $checker->violations;

print "$_->{what}: $_->{text}\n"
    for @violations > 20 ? @violations[0 .. 19] : @violations;

exit(@violations ? 1 : 0);


# -- what is measured

# adds to the lives of all processes; workers have a name of their generation

sub look {
    my ($time, $generation) = @_;

    my %known = map { $_->{pid} => $_ } @lives;
    my %is = measure();
    my $number = 0;

    for my $pid (sort { $a <=> $b } keys %is) {
        my $is = $is{$pid};
        my $life = $known{$pid};

        if (!$life) {
            my $name = $is->{master} ? 'master'
                                     : sprintf '%d.%d', $generation, ++$number;

            $life = { pid => $pid, name => $name };
            push @lives, $life;
        }

        push @{ $life->{time} }, $time;
        push @{ $life->{generation} }, $generation;
        push @{ $life->{$_} }, $is->{$_} for qw(rss pss anon files sockets);
    }

    return;
}


# of the master, and of all workers that are not on their way out

sub measure {
    my ($master) = $t->found_masters;
    my %is;

    for my $pid ($master, current($master)) {
        my $status = slurp("/proc/$pid/status");
        my ($pss) = slurp("/proc/$pid/smaps_rollup") =~ /^Pss:\s+(\d+)/m;
        my ($rss) = $status =~ /^VmRSS:\s+(\d+)/m;
        my ($anon) = $status =~ /^RssAnon:\s+(\d+)/m;
        my ($files, $sockets) = descriptors($pid);

        next unless defined $pss && defined $anon;

        $is{$pid} = { master => $pid == $master, rss => $rss, pss => $pss,
                      anon => $anon, files => $files, sockets => $sockets };
    }

    return %is;
}


# who has more descriptors than one of his kind had

sub more {
    my ($before, $after) = @_;

    my @more;

    for my $pid (sort keys %$after) {
        my $is = $after->{$pid};
        my @kind = grep { $_->{master} == $is->{master} } values %$before;
        my ($files, $sockets) = map { my $what = $_;
                                      max(map { $_->{$what} } @kind) }
                                qw(files sockets);

        push @more, ($is->{master} ? 'the master' : "worker $pid")
                    . " has $is->{files} files and $is->{sockets} sockets, and "
                    . "at the start it was $files and $sockets"
            if $is->{files} > $files + 1 || $is->{sockets} > $sockets;
    }

    return @more;
}


# workers that are not on their way out

sub current {
    my ($master) = @_;

    return grep { command_line($_) =~ /^nginx: worker process$/ }
           children_of($master);
}


sub descriptors {
    my ($pid) = @_;

    opendir my $dh, "/proc/$pid/fd" or return (0, 0);

    my @to = grep { defined } map { readlink "/proc/$pid/fd/$_" }
             grep { /^\d/ } readdir $dh;
    my $sockets = grep { /^socket:/ } @to;

    return (@to - $sockets, $sockets);
}


sub zone {
    my ($generation) = @_;

    my $status = $t->api('GET', '/gray/status')->{json};

    push @free, [ $generation, $status->{zones}[0]{free} ] if $status;

    return unless $run->journal;

    my $text = slurp($t->journal_file);

    $journal{lines} = max($journal{lines} || 0, $text =~ tr/\n//);
    $journal{bytes} = max($journal{bytes} || 0, length $text);

    return;
}


# kB an hour, and how many hours

sub slopes {
    my ($life) = @_;

    my $time = $life->{time};

    return (($time->[-1] - $time->[0]) / 3600,
            map { $_ => 3600 * slope($time, $life->{$_}) } qw(rss anon));
}


# by least squares

sub slope {
    my ($x, $y) = @_;

    my ($mx, $my) = map { sum(@$_) / @$_ } $x, $y;
    my $sxx = sum(map { ($_ - $mx) ** 2 } @$x);

    return $sxx ? sum(map { ($x->[$_] - $mx) * ($y->[$_] - $my) } 0 .. $#$x)
                  / $sxx : 0;
}
