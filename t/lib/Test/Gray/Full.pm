package Test::Gray::Full;

# Copyright (C) the nginx gray module authors
#
# A server whose queue is full: it accepts nothing, and who connects gets no
# answer, until it is closed.

use strict;
use warnings;

use IO::Socket::INET;

use Test::Gray::Process;


sub new {
    my ($class) = @_;

    my $listen = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1)
        or die "listen: $!\n";
    my $self = bless { listen => $listen, port => $listen->sockport }, $class;

    until ($self->waiting) {
        push @{ $self->{clients} },
             IO::Socket::INET->new(PeerAddr => '127.0.0.1',
                                   PeerPort => $self->{port}, Blocking => 0);
    }

    return $self;
}


sub port { return $_[0]{port} }


# connections that have sent a SYN

sub waiting {
    my ($self) = @_;

    my $to = sprintf '0100007F:%04X', $self->{port};

    return scalar grep { m/^ *\d+: \S+ $to 02 / }
                  split /\n/, slurp('/proc/net/tcp');
}


# until one more does than its own

sub await_one {
    my ($self) = @_;

    wait_until(sub { $self->waiting > 1 })
        or die "nobody connects\n";

    return;
}


sub close {
    my ($self) = @_;

    delete @{$self}{qw(listen clients)};

    return;
}


1;
