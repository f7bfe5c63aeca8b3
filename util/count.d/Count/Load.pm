package Count::Load;

# Copyright (C) the nginx gray module authors
#
# Many connections, on each of which a request follows the answer to the one
# before, without a pause; and what came of all of them.
#
#     my $load = Count::Load->new(port => $t->port, connections => 64,
#                                 paths => [ [ '/ok', 200 ], ... ],
#                                 worker => 'x-pid', variant => 'x-variant');
#
#     $load->run($requests, $seconds, sub { ... });   # again and again, and
#     $load->killed($pid, $time);                     # in there, if one was
#
# Headers tell the worker, and the variant, of an answer.
#
# Each connection has a user of its own, and so a variant, always the same.  So
# what is not known of a request that had no answer when its worker was killed
# is only whether it was answered, or counted; and it was one of its variant.
#
#     answered  { VARIANT => { CODE => N } }
#     lost      { VARIANT => N }: had no answer, or not all of it, when their
#               worker was killed, be it that the request never came there
#     last      { VARIANT => N }: had the last answer of a connection that was
#               to be closed, when their worker was killed
#     again     connections that were closed by workers that are to end, with
#               a request on its way that nobody has read: it was sent again
#     problems  what must not be

use strict;
use warnings;

use IO::Socket::INET;
use Time::HiRes ();


sub new {
    my ($class, %option) = @_;

    my $self = bless {
        answered => {}, lost => {}, last => {}, again => 0, problems => [], sent => 0,
        opened => 0, deaths => [], kills => [], vector => '', by_fd => [],
        %option
    }, $class;

    $self->{slots} = [ map { { number => $_, turn => $_ } }
                       1 .. $self->{connections} ];

    return $self;
}


sub now { return Time::HiRes::clock_gettime(Time::HiRes::CLOCK_MONOTONIC()) }


# returns when all requests have come to an end; false where one has not

sub run {
    my ($self, $requests, $seconds, $meanwhile) = @_;

    my $end = now() + $seconds;

    $self->{goal} = $self->{sent} + $requests;
    $self->proceed($_) for @{ $self->{slots} };

    while ($self->{sent} < $self->{goal} && now() < $end) {
        $self->turn(0.05, $meanwhile);
    }

    $self->{goal} = 0;
    $end = now() + 20;

    while (grep { $_->{busy} || $_->{closing} } @{ $self->{slots} }) {
        return 0 if now() > $end;
        $self->turn(0.05, $meanwhile);
    }

    return 1;
}


# a kill is told before it is done, and so before its deaths are seen here

sub turn {
    my ($self, $timeout, $meanwhile) = @_;

    my $ready = $self->{vector};
    my $n = select $ready, undef, undef, $timeout;

    $meanwhile->();

    return if $n <= 0;

    for my $slot (@{ $self->{slots} }) {
        $self->readable($slot)
            if $slot->{socket} && vec($ready, fileno $slot->{socket}, 1);
    }

    return;
}


# the next request of a connection, which may be a new one

sub proceed {
    my ($self, $slot) = @_;

    return if $self->{sent} >= $self->{goal};

    $self->open($slot) unless $slot->{socket};

    my $paths = $self->{paths};
    my $path;

    ($path, $slot->{code}) = @{ $paths->[ $slot->{turn}++ % @$paths ] };
    $slot->{busy} = 1;
    $self->{sent}++;

    # where it fails, the other end has been closed, which will be read

    syswrite $slot->{socket},
             "GET $path?u=$slot->{number} HTTP/1.1\r\n"
             . "Host: count\r\n\r\n";

    return;
}


sub open {
    my ($self, $slot) = @_;

    my $socket = IO::Socket::INET->new(
        PeerAddr => '127.0.0.1', PeerPort => $self->{port}, Timeout => 10)
        or die "connect: $!\n";

    $socket->blocking(0);

    @$slot{qw(socket buffer pid since)} = ($socket, '', undef, now());
    vec($self->{vector}, fileno $socket, 1) = 1;
    $self->{opened}++;

    return;
}


sub close {
    my ($self, $slot) = @_;

    vec($self->{vector}, fileno $slot->{socket}, 1) = 0;
    close delete $slot->{socket};
    @$slot{qw(busy closing)} = (0, 0);

    return;
}


sub readable {
    my ($self, $slot) = @_;

    my $n = sysread $slot->{socket}, $slot->{buffer}, 65536,
                    length $slot->{buffer};

    return if !defined $n && ($!{EAGAIN} || $!{EINTR});

    if (!$n) {
        $self->died($slot);
        $self->proceed($slot);
        return;
    }

    my ($code, $head, $length) =
        $slot->{buffer} =~ m{\AHTTP/1\.1\ (\d{3})\ (.*?^Content-Length:\ (\d+)
                             \r\n.*?)^\r\n}msx or return;

    my $end = $+[0] + $length;

    return if length $slot->{buffer} < $end;

    return $self->problem("more than one answer: $slot->{buffer}")
        if length $slot->{buffer} > $end || !$slot->{busy};

    $slot->{buffer} = '';
    $self->answer($slot, $code, $head);

    return;
}


sub answer {
    my ($self, $slot, $code, $head) = @_;

    my ($pid) = $head =~ /^\Q$self->{worker}\E: (\d+)/mi;
    my ($variant) = $head =~ /^\Q$self->{variant}\E: (\w+)/mi;

    $slot->{pid} = $pid;
    $slot->{variant} = $variant unless defined $slot->{variant};

    $self->problem("asked for $slot->{code} of "
                   . "$slot->{variant}, got $code of "
                   . (defined $variant ? $variant : 'nobody'))
        if $code != $slot->{code} || !defined $variant
           || $variant ne $slot->{variant};

    $self->{answered}{ $slot->{variant} }{$code}++;
    $slot->{busy} = 0;

    # when it is at an end there, the request is

    if ($head =~ /^Connection: close/mi) {
        $slot->{closing} = 1;

    } else {
        $self->proceed($slot);
    }

    return;
}


# A connection came to its end.  Of a worker that was not killed, it is one
# that was closed between two requests, whatever was on its way.  A new one may
# have been for any worker.

sub died {
    my ($self, $slot) = @_;

    my $pid = $slot->{pid};
    my ($killed) = grep { defined $pid ? $_->[0] == $pid
                                       : $_->[1] > $slot->{since} }
                   @{ $self->{kills} };

    if ($killed && defined $slot->{variant}) {
        $self->{ $slot->{busy} ? 'lost' : 'last' }{ $slot->{variant} }++;

    } elsif ($killed) {
        $self->problem('killed before all users were known');

    } elsif ($slot->{buffer} ne '') {
        $self->problem("half an answer: $slot->{buffer}");

    } elsif ($slot->{busy}) {
        $self->{again}++;
    }

    push @{ $self->{deaths} }, now();
    $self->close($slot);

    return;
}


sub killed {
    my ($self, $pid, $time) = @_;

    push @{ $self->{kills} }, [ $pid, $time ];

    return;
}


# how many connections came to their ends in a span of time

sub deaths {
    my ($self, $from, $to) = @_;

    return scalar grep { $_ >= $from && $_ <= $to } @{ $self->{deaths} };
}


sub problem {
    my ($self, $text) = @_;

    push @{ $self->{problems} }, $text;

    return;
}


1;
