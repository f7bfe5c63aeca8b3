package Test::Gray::Clock;

# Copyright (C) the nginx gray module authors
#
# Somebody sets the clock of the day, and not the one that only counts:
#
#     plan(skip_all => $why) if $why = no_clock();
#
#     my $clock = Test::Gray::Clock->new($t);
#     $clock->start($t);          # and others, whose clock is the same
#     $clock->set(-86400);        # a day back, from now on
#
# No reload or worker is needed to see it.

use strict;
use warnings;

use Cwd            ();
use Exporter       ();
use File::Basename ();

use Test::Gray::Process;

our @ISA = ('Exporter');
our @EXPORT = qw(no_clock);

my $source = Cwd::abs_path(File::Basename::dirname(__FILE__)
                           . '/../../clock_shift.c');


# why there can be none here, or nothing

sub no_clock {
    return 'sanitizers want to be loaded first' if $ENV{TEST_SANITIZER_LOG};
    return 'valgrind has no clock of its own' if $ENV{TEST_NGINX_WRAPPER};
    return 'no cc' if (capture('cc', '--version'))[0] != 0;
    return;
}


sub new {
    my ($class, $t) = @_;

    my $library = $t->dir . '/clock_shift.so';
    my ($status, undef, $said) =
        capture(qw(cc -Wall -Wextra -Werror -shared -fPIC -o), $library,
                $source);

    die $said if $status != 0;

    return bless { library => $library,
                   shift => $t->write_file('shift', pack 'q', 0) }, $class;
}


sub start {
    my ($self, $t) = @_;

    local $ENV{LD_PRELOAD} = $self->{library};
    local $ENV{GRAY_CLOCK_SHIFT} = $self->{shift};

    return $t->start;
}


# written into, as the processes have mapped it

sub set {
    my ($self, $seconds) = @_;

    open my $fh, '+<:raw', $self->{shift} or die "$self->{shift}: $!\n";
    syswrite $fh, pack 'q', $seconds;
    close $fh;

    return;
}


1;
