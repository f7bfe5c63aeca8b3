#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# torture.pl [--seed=N] [--writers=N] [--deciders=N] [--follow=S] [--keep]
#            [--verbose] [--no-worker] [--no-stop] [--no-reload] [--no-resize]
#            [--no-master] [--no-upgrade] [--no-journal] [--no-wrk]
#
# Kills, halts, reloads and upgrades an nginx for TIME seconds (600) while a
# release is changed and asked for, and looks afterwards whether all that was
# answered can be true: see Torture::Checker.  Ends with status 1 where not.
#
# --seed        what is done, and when; not what comes of it
# --follow      seconds within which other zones follow; 1 is what is promised
# --keep        the records and the directory stay
# --no-journal  zones have no journal, and forget at each start: so there is
#               none, unless --resize, --master or --upgrade is given
# --no-...      what is not to be done

use strict;
use warnings;

use Getopt::Long ();

my (%option, $seconds, @forgets, @kinds);

BEGIN {
    # what may be done, and by what a zone without a journal forgets

    @forgets = qw(resize master upgrade);
    @kinds = (qw(worker stop reload), @forgets);

    $seconds = $ENV{TIME} || 600;

    %option = (writers => 6, deciders => 2, follow => 1, history => 1000,
               connections => 64, pause => 0.06, journal => 1, wrk => 1,
               worker => 1, stop => 1, reload => 1);

    Getopt::Long::GetOptions(\%option, 'seed=i', 'writers=i', 'deciders=i',
                             'follow=f', 'history=i', 'connections=i',
                             'pause=f', 'keep', 'verbose', 'journal!', 'wrk!',
                             map { "$_!" } @kinds)
        && !@ARGV && $seconds =~ /^\d+$/
        or die "usage: TIME=SECONDS util/torture [--seed=N] [--no-...]\n";

    $ENV{TEST_TIME_LIMIT} = 2 * $seconds + 300;
    $ENV{TEST_VERBOSE} = 1 if $option{keep};
}

use Test::Gray;
use Test::Gray::Process;

use Torture::Run;
use Torture::Tormentor;

$| = 1;

my $seed = defined $option{seed} ? $option{seed} : time % 100000;

srand($seed);

my $run = Torture::Run->new(%option, seed => $seed);
my $t = $run->t;

# what nginx says where its processes are killed

$t->expect(
    qr/^(?:worker|new binary) process \d+ exited on signal 9/,
    qr/^bind\(\) to \S+ failed \(98: Address already in use\)/,
    qr/^still could not bind\(\)/,

    # the channel of a worker that was killed a moment ago

    qr/^sendmsg\(\) failed \((?:9|32|104|111): /,
    qr/^kill\(\d+, \d+\) failed \(3: No such process\)/,
);

for (@forgets) {
    $option{$_} = $run->journal unless defined $option{$_};
}

printf "torture: %d s, --seed=%d, nginx %s, %s\n", $seconds, $seed,
       $t->version, join ' ', grep({ $option{$_} } @kinds),
       map({ "no-$_" } grep { !$option{$_} } @kinds),
       $run->journal ? 'journal' : 'no-journal';


# -- what runs

my $tormentor = Torture::Tormentor->new(
    t => $t, what => \%option, verbose => $option{verbose});

$tormentor->start;
die "nginx does not start\n" if $tormentor->{failed};

$run->load($seconds + 600);

$run->writer($_, $option{pause}) for 1 .. $option{writers};

for (1 .. $option{deciders}) {
    $run->decider("kept-$_", 0.002, 1);
    $run->decider("fresh-$_", 0.004, 0);
}

$run->reader('reader-1', 0.05) if $run->journal;

$tormentor->run($seconds);


# -- how it ends

# writers first, then all zones have the time to follow

$run->end_writers;
select undef, undef, undef, 1.5 * $option{follow};
$run->end_others;

$run->final unless $tormentor->{failed};

# what was answered outlives the end

if ($run->journal && !$tormentor->{failed}) {
    $t->stop;
    $tormentor->start;
    $run->final unless $tormentor->{failed};
}

my $checker = $run->check($tormentor);
my @violations = $checker->violations;

print join(', ', map { "$tormentor->{count}{$_} $_" }
                 sort keys %{ $tormentor->{count} }), "\n"
    if %{ $tormentor->{count} };

$run->report;

print "$_->{what}: $_->{text}\n"
    for @violations > 20 ? @violations[0 .. 19] : @violations;

if ($option{keep}) {
    $t->write_file('violations', join '', map { "$_->{what}: $_->{text}\n" }
                                          @violations);
    $t->write_file('events', join '', map { "$_\n" }
                                      @{ $tormentor->{notes} || [] });
}

exit(@violations ? 1 : 0);
