package Test::Gray::Fault;

# Copyright (C) the nginx gray module authors
#
# Calls that fail, and processes that are killed or stopped at a point of the
# code, see ngx_http_gray_failpoint.h; for "make test FAILPOINTS=1".
#
#     plan(skip_all => 'no failpoints') unless has_failpoints();
#
#     arm($t, list_sync => 'EIO', list_open => 'sleep=100 once');
#     ...
#     disarm($t);
#
# In other builds arm() dies: a test that arms anything is to be skipped.
#
# A row of the table in docs/reliability.md, which util/reliability writes:
#
#     record('Lists', 'the disk is full', '503', $seen);
#
# It must be the same each time: no pids, no ports, no times.

use strict;
use warnings;

use Cwd            ();
use File::Basename ();
use File::Spec     ();
use IO::Handle     ();

use Exporter ();
use Test::Gray::Process;

our @ISA = ('Exporter');
our @EXPORT = qw(arm disarm fired has_failpoints hits killed points record
                 stopped);

my $root = Cwd::abs_path(File::Basename::dirname(__FILE__) . '/../../../..');

my $rows = $ENV{TEST_RELIABILITY}
           ? File::Spec->rel2abs($ENV{TEST_RELIABILITY}) : undef;
my $recorded;


sub has_failpoints { return $ENV{TEST_FAILPOINTS} ? 1 : 0 }


# all points of the code, or those whose names begin so

sub points {
    my ($prefix) = @_;

    my %point;

    for my $file (glob "$root/ngx_http_gray_*.c") {
        my $text = slurp($file);

        $point{$1} = 1
            while $text =~ /ngx_http_gray_(?:fails|shortened)\(\s*"(\w+)"/g;
    }

    $prefix = '' unless defined $prefix;

    return sort grep { /^\Q$prefix/ } keys %point;
}


# POINT => 'ACTION' or 'ACTION once', ...; takes the place of what was armed

sub arm {
    my ($t, %action) = @_;

    die "this build has no failpoints\n" unless has_failpoints();

    my %known = map { $_ => 1 } '*', points();
    my $file = $t->failpoints;

    for my $point (keys %action) {
        die "there is no point \"$point\"\n" unless $known{$point};
        die "bad action \"$action{$point}\"\n"
            unless $action{$point}
                   =~ /^(?:kill|stop|(?:sleep|short)=\d+|E[A-Z0-9]+)( once)?$/;
    }

    disarm($t);

    # a process that reads it sees all lines or none

    open my $fh, '>', "$file.new" or die "$file.new: $!\n";
    print $fh map { "$_ $action{$_}\n" } sort keys %action;
    close $fh or die "$file.new: $!\n";
    chmod 0644, "$file.new";
    rename "$file.new", $file or die "$file: $!\n";

    return;
}


sub disarm {
    my ($t) = @_;

    my $file = $t->failpoints;

    unlink $file, glob "$file.*.once";

    return;
}


# whether a point, or "*", that was armed with "once" has done its action

sub fired {
    my ($t, $point) = @_;

    return -e $t->failpoints . ".$point.once" ? 1 : 0;
}


# the points that were passed since the last call, in order; the first call
# only begins to record

sub hits {
    my ($t) = @_;

    my $file = $t->failpoints . '.hits';
    my @hits = split /\n/, slurp($file);

    open my $fh, '>', $file or die "$file: $!\n";
    close $fh;
    chmod 0666, $file;

    return @hits;
}


# runs the code, which has a worker kill itself, and waits for its successor;
# returns what the code does

sub killed {
    my ($t, $code) = @_;

    my $mark = $t->{log}->mark;
    my @before = $t->workers;
    my @result = $code->();
    my @dead;

    wait_until(sub {
        @dead = grep { !alive($_) } @before;
        return @dead && $t->{log}->started($mark) >= @dead;
    })
    or die "no worker was killed\n";

    $t->expect(map { qr/worker process $_ exited on signal 9/ } @dead);

    return wantarray ? @result : $result[0];
}


# waits for a worker that has stopped itself; returns its pid, for SIGCONT

sub stopped {
    my ($t) = @_;

    my $pid;

    wait_until(sub {
        ($pid) = grep { (Test::Gray::Process::stat_of($_))[0] eq 'T' }
                 $t->workers;
    })
    or die "no worker has stopped\n";

    return $pid;
}


sub record {
    my ($group, $what, $expected, $seen) = @_;

    return unless defined $rows;

    my @row = ($group, $what, $expected, $seen);

    /[\t\n]/ and die "a row of one line and no tabs, please: $_\n" for @row;

    if (!$recorded) {
        my $file = "$rows/" . File::Basename::basename($0, '.t') . '.rows';

        open $recorded, '>', $file or die "$file: $!\n";
        $recorded->autoflush(1);
    }

    print $recorded join("\t", @row) . "\n";

    return;
}


1;
