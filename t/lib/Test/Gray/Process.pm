package Test::Gray::Process;

# Copyright (C) the nginx gray module authors
#
# Functions about processes and files, and waiting.

use strict;
use warnings;

use Exporter    ();
use File::Temp  ();
use POSIX       ();
use Time::HiRes ();

our @ISA = ('Exporter');
our @EXPORT = qw(alive children_of command_line kept_waiting pids capture
                 slurp tail wait_until);


# longer where nginx is slow

our $scale = $ENV{TEST_NGINX_WRAPPER} ? 15 : $ENV{TEST_SANITIZER_LOG} ? 4 : 1;


# polls until the code returns something true, and returns that

sub wait_until {
    my ($code, $seconds) = @_;

    my $end = Time::HiRes::time() + ($seconds || 20 * $scale);

    while (1) {
        my $result = $code->();
        return $result if $result;
        return 0 if Time::HiRes::time() > $end;
        select undef, undef, undef, 0.01;
    }
}


# runs a program; returns its exit status, output and error output

sub capture {
    my (@command) = @_;

    my ($out, $err) = map { File::Temp->new } 1, 2;

    my $pid = fork();
    die "fork: $!\n" unless defined $pid;

    if ($pid == 0) {
        open STDIN, '<', '/dev/null';
        open STDOUT, '>&', $out;
        open STDERR, '>&', $err;
        exec { $command[0] } @command or POSIX::_exit(127);
    }

    waitpid $pid, 0;

    return ($? >> 8 || $? & 127, slurp($out->filename),
            slurp($err->filename));
}


sub slurp {
    my ($file) = @_;

    open my $fh, '<:raw', $file or return '';
    local $/;
    my $text = <$fh>;

    return defined $text ? $text : '';
}


sub tail {
    my ($text, $count) = @_;

    my @lines = split /^/, $text;
    splice @lines, 0, @lines - $count if @lines > $count;

    return join '', @lines;
}


sub children_of {
    my ($parent) = @_;

    return grep { ((stat_of($_))[1] || 0) == $parent } pids();
}


sub pids {
    opendir my $dh, '/proc' or die "/proc: $!\n";
    return grep { /^\d+$/ } readdir $dh;
}


sub stat_of {
    my ($pid) = @_;

    # the name in parentheses may contain anything

    return slurp("/proc/$pid/stat") =~ /.*\) (\S) (\d+)/s;
}


# a zombie has ended, but for threads that have not yet: those still have its
# sockets and locks

sub alive {
    my ($pid) = @_;

    my ($state) = stat_of($pid);

    return defined $state
           && ($state !~ /[ZX]/ || 1 < (() = glob "/proc/$pid/task/*"));
}


# for how long a process was kept from the processor by others, ever

sub kept_waiting {
    my ($pid) = @_;

    return ((split ' ', slurp("/proc/$pid/schedstat"))[1] || 0) / 1e9;
}


sub command_line {
    my ($pid) = @_;

    return join ' ', split /\0/, slurp("/proc/$pid/cmdline");
}


1;
