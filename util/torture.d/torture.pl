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
use POSIX ();

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

use Torture::Checker;
use Torture::Client;
use Torture::Load;
use Torture::Nginx;
use Torture::Record;
use Torture::Tormentor;
use Torture::Watcher;

$| = 1;

my $seed = defined $option{seed} ? $option{seed} : time % 100000;

srand($seed);

# what nginx says where its processes are killed

my @expected = (
    qr/^(?:worker|new binary) process \d+ exited on signal 9/,
    qr/^bind\(\) to \S+ failed \(98: Address already in use\)/,
    qr/^still could not bind\(\)/,

    # the channel of a worker that was killed a moment ago

    qr/^sendmsg\(\) failed \((?:9|32|104|111): /,
    qr/^kill\(\d+, \d+\) failed \(3: No such process\)/,
);

my $t = Torture::Nginx->new(backends => [ backends() ],
                            level => 'notice',
                            history => $option{history});

$t->expect(@expected);
known();

for (@forgets) {
    $option{$_} = $option{journal} unless defined $option{$_};
}

$t->{history} = 0 unless $option{journal};

printf "torture: %d s, --seed=%d, nginx %s, %s\n", $seconds, $seed,
       $t->version, join ' ', grep({ $option{$_} } @kinds, 'journal'),
       map { "no-$_" } grep { !$option{$_} } @kinds, 'journal';


# -- what runs

my $tormentor = Torture::Tormentor->new(
    t => $t, what => \%option, verbose => $option{verbose});

$tormentor->start;
die "nginx does not start\n" if $tormentor->{failed};

my $load = $option{wrk} && load($t, $option{connections}, $seconds + 600);

print "wrk is missing, there is less load\n" if $option{wrk} && !$load;

my %can = (revert => can_revert(), comment => $option{comment});
my @writers = map { client('writer', $_, sub { $_[0]->change(%can) }) }
              1 .. $option{writers};
my @readers = map {
    client('kept', $_, sub { $_[0]->decide }, pause => 0.002),
    client('fresh', $_, sub { $_[0]->decide }, pause => 0.004, keep => 0)
} 1 .. $option{deciders};
my $watcher = $option{journal} && Torture::Watcher->run($t, $t->journal_file);

$tormentor->run($seconds);


# -- how it ends

# writers first, then all zones have the time to follow

ended(@writers);
select undef, undef, undef, 1.5 * $option{follow};
ended(@readers);

my @load = loaded($t, $load) if $load;

ended($watcher) if $watcher;

my $checker = Torture::Checker->new(follow => $option{follow},
                                    journal => $option{journal});
my @finals;

@finals = finals() unless $tormentor->{failed};

# what was answered outlives the end

if ($option{journal} && !$tormentor->{failed}) {
    $t->stop;
    $tormentor->start;
    push @finals, finals() unless $tormentor->{failed};
}

$t->stop;

my @problems = @{ $tormentor->{problems} };

push @problems, Test::Gray::problems();
push @problems, "$load[3] answers to wrk were neither 2xx nor 3xx"
    if $load && $load[3];
push @problems, 'wrk has ended before' if $load && !$load[0];


# -- what is found

$checker->zone($_, $tormentor->{zones}{$_}) for keys %{ $tormentor->{zones} };
$checker->violence(@$_) for @{ $tormentor->{events} };
$checker->declared($_, $t->declared($_)) for 1 .. $t->{conf};

for my $file (glob $t->dir . '/records/*-*') {
    open my $in, '<:raw', $file or die "$file: $!\n";

    while (my $line = <$in>) {
        my $record = record_of($line) or next;
        $checker->add($record);
    }
}

if ($option{journal}) {
    Torture::Watcher->read($t, $checker);
    $checker->journal(slurp($t->journal_file));
    push @problems, map { "there is $_" } glob $t->dir . '/state/*.bad*';
}

$checker->final($_) for @finals;

my @violations = ((map { { what => 'nginx', text => $_ } } @problems),
                  $checker->check);

report();

exit(@violations ? 1 : 0);


# -- parts

# does this module know of a journal, and of what else

sub known {
    my $text = $t->configure(0);
    my ($status, $said) = $t->test_config($t->{text});

    return if $status == 0;

    die $said unless $said =~ /invalid parameter "history=/;

    print "this module has no journal: --no-journal\n";
    $option{journal} = 0;

    return;
}


sub can_revert {
    return $t->get($Torture::Client::api . '/revert')->{status} == 405;
}


my $clients;

sub client {
    my ($who, $number, $code, %more) = @_;

    return Torture::Client->new(
        t => $t, who => "$who-$number", seed => $seed * 100 + ++$clients,
        pause => $option{pause}, %more)->run($code);
}


sub ended {
    my (@pids) = @_;

    kill 'USR1', @pids;

    for my $pid (@pids) {
        # a request may take its time yet

        wait_until(sub { !alive($pid) }, 15)
            or push @{ $tormentor->{problems} }, "client $pid does not end";
        $t->reap($pid);
    }

    return;
}


# what each worker has

sub finals {
    my $client = Torture::Client->new(t => $t, who => 'final', keep => 0,
                                      file => \*STDERR);
    my %seen;

    open $client->{file}, '>', '/dev/null' or die "/dev/null: $!\n";

    # of some workers there may be no connection in a while

    for (1 .. 100) {
        my $r = $client->ask('get', 'GET', $Torture::Client::api, []);

        $seen{ $r->{pid} || 0 } = $r;
        last if keys %seen >= 4;
    }

    return values %seen;
}


sub report {
    my %count = (%{ $tormentor->{count} });
    my $by = $checker->{by_status} || {};
    my $made = grep { $_->{fate} eq 'made' } @{ $checker->{writes} };

    print join(', ', map { "$count{$_} $_" } sort keys %count), "\n"
        if %count;

    printf "%d zones, %d texts of nginx.conf\n", $t->{zone}, $t->{conf};

    printf "%d writes: %s\n", $checker->{tried} || 0,
           join ', ', map { "$by->{$_} $_" } sort keys %$by;

    printf "%d acknowledged, the last revision is %d; %d of no answer were "
           . "made\n", $made, $checker->{last} || 0,
           $checker->{explained} || 0;

    printf "%d gets and %d decisions checked, %d requests without an answer\n",
           map { $_ || 0 } $checker->{count}{get}, $checker->{count}{decision},
           scalar @{ $checker->{broken} || [] };

    printf "%d of them of a zone that had yet to follow, by %.3f s at most\n",
           $checker->{stale} || 0, $checker->{lag} || 0;

    if ($option{journal}) {
        printf "%d lines of the journal were seen, %d bytes are there\n",
               scalar keys %{ $checker->{lines} }, -s $t->journal_file || 0;
    }

    printf "wrk: %d requests, %s\n", @load[1, 2] if $load;

    printf "%d violations, --seed=%d\n", scalar @violations, $seed;

    my %what;

    $what{ $_->{what} }++ for @violations;
    print '    ', join(', ', map { "$_: $what{$_}" } sort keys %what), "\n"
        if @violations;

    print "$_->{what}: $_->{text}\n"
        for @violations > 20 ? @violations[0 .. 19] : @violations;

    if (@violations && $option{keep}) {
        $t->write_file('violations', join '', map { "$_->{what}: $_->{text}\n" }
                                              @violations);
        $t->write_file('events', join '', map { "$_\n" }
                                          @{ $tormentor->{notes} });
    }

    return;
}
