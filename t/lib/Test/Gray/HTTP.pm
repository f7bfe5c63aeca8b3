package Test::Gray::HTTP;

# Copyright (C) the nginx gray module authors
#
# An HTTP/1.1 client that is strict about what it reads and lets a test send
# anything: any Host, chunked bodies, pipelined requests, plain bytes.
#
# A response is { status, reason, headers, body }; header names are in lower
# case, a header that comes twice is an array.  Status 599 means that there
# was no valid response; body says why.

use strict;
use warnings;

use IO::Select;
use IO::Socket::IP;
use IO::Socket::UNIX;
use JSON::PP ();
use Time::HiRes ();

use Test::Gray::Process ();

my $json = JSON::PP->new->utf8->canonical->allow_nonref;


# port, host (IPv4 or IPv6) and source address, or "unix", a socket's path

sub new {
    my ($class, %option) = @_;

    return bless { host => '127.0.0.1', timeout => 10, %option }, $class;
}


sub get {
    my ($self, $path, @headers) = @_;

    return $self->request('GET', $path, \@headers);
}


# a body in an array is sent chunked, an element a chunk

sub request {
    my ($self, $method, $path, $headers, $body) = @_;

    my $response = eval {
        my $connection = $self->connect;

        $connection->send(
            request_text($method, $path,
                         [ Connection => 'close', @{ $headers || [] } ],
                         $body));
        $connection->receive($method) or die "closed without a response\n";
    };

    return $response || failure($@);
}


# data is sent as JSON, or as it is where it is a string

sub api {
    my ($self, $method, $path, $data, @headers) = @_;

    if (defined $data) {
        unshift @headers, 'Content-Type' => 'application/json'
            unless grep { lc eq 'content-type' } @headers;
        $data = $json->encode($data) if ref $data;
    }

    my $response = $self->request($method, $path, \@headers, $data);
    my $type = $response->{headers}{'content-type'} || '';

    $response->{json} = eval { $json->decode($response->{body}) }
        if $type =~ m{^application/(?:\w+\+)?json\b};

    return $response;
}


# the same by a client that comes again where it is told to: on a busy machine
# another process may have a lock for longer than nginx waits for it

sub insist {
    my ($self, @request) = @_;

    my $response;

    Test::Gray::Process::wait_until(sub {
        $response = $self->api(@request);

        return $response->{status} != 503
               || !$response->{headers}{'retry-after'};
    });

    return $response;
}


# sends bytes and returns what comes back until the other side closes

sub raw {
    my ($self, $bytes) = @_;

    my $connection = $self->connect;

    $connection->send($bytes);
    1 while $connection->more;

    return $connection->{buffer};
}


# pipelines many GET requests: the code gets a number from 0 and returns a
# path and headers; returns the responses.  Another connection is opened
# after per_connection requests, so that all workers get some.

sub many {
    my ($self, $count, $code, %option) = @_;

    my $per = $option{per_connection} || 50;
    my @responses;

    while (@responses < $count) {
        my $first = @responses;
        my $last = $first + $per > $count ? $count : $first + $per;
        my $text = '';

        for my $i ($first .. $last - 1) {
            my ($path, @headers) = $code->($i);

            push @headers, Connection => 'close' if $i == $last - 1;
            $text .= request_text('GET', $path, \@headers);
        }

        eval {
            my $connection = $self->connect;
            $connection->send($text);

            while (@responses < $last) {
                my $response = $connection->receive('GET') or last;
                push @responses, $response;
            }
        };

        push @responses, failure($@ || "closed without a response\n")
            if @responses == $first;
    }

    return @responses;
}


# a kept connection to each of so many workers, by their process ids, with
# which the path answers.  Connections are made until each has one: that is
# soon where the listener has reuseport.

sub each_worker {
    my ($self, $count, $path) = @_;

    my %worker;

    for (1 .. 100 * $count) {
        my $connection = $self->connect;
        my $pid = $connection->get($path)->{body};

        $worker{$pid} ||= $connection;
        return \%worker if keys %worker == $count;
    }

    die "not all workers answer, but " . join(' ', keys %worker) . "\n";
}


sub request_text {
    my ($method, $path, $headers, $body) = @_;

    my @headers = @$headers;
    my %given;

    for (my $i = 0; $i < @headers; $i += 2) {
        $given{lc $headers[$i]} = 1;
    }

    unshift @headers, Host => 'localhost' unless $given{host};

    if (ref $body) {
        push @headers, 'Transfer-Encoding' => 'chunked';
        $body = join '', map({ sprintf("%x\r\n%s\r\n", length, $_) }
                             grep { length } @$body), "0\r\n\r\n";

    } elsif (defined $body && !$given{'content-length'}) {
        push @headers, 'Content-Length' => length $body;
    }

    my $text = "$method $path HTTP/1.1\r\n";

    while (my ($name, $value) = splice @headers, 0, 2) {
        $text .= "$name: $value\r\n" if defined $value;
    }

    return "$text\r\n" . (defined $body ? $body : '');
}


sub failure {
    my ($reason) = @_;

    return { status => 599, reason => 'No response', headers => {},
             body => $reason };
}


# -- a connection, to be used as long as it stays open

sub connect {
    my ($self) = @_;

    my $socket = defined $self->{unix}
        ? IO::Socket::UNIX->new(Peer => $self->{unix})
        : IO::Socket::IP->new(
              PeerAddr => $self->{host},
              PeerPort => $self->{port},
              Timeout  => $self->{timeout},
              $self->{source} ? (LocalAddr => $self->{source}) : ());

    die "connect: $!\n" unless $socket;

    return bless { socket => $socket, buffer => '',
                   timeout => $self->{timeout} },
                 'Test::Gray::HTTP::Connection';
}


package Test::Gray::HTTP::Connection;


sub send {
    my ($self, $bytes) = @_;

    # what nginx answers meanwhile is read, or both sides wait

    my $socket = $self->{socket};
    my $set = IO::Select->new($socket);

    $socket->blocking(0);

    while (length $bytes) {
        my ($readable, $writable) =
            IO::Select->select($set, $set, undef, $self->{timeout});
        die "timed out in sending\n" unless $readable;

        if (@$readable) {
            my $n = sysread $socket, $self->{buffer}, 65536,
                            length $self->{buffer};
            last if defined $n && $n == 0;
        }

        if (@$writable) {
            my $n = syswrite $socket, $bytes;
            last if !defined $n && !$!{EAGAIN};
            substr $bytes, 0, $n, '' if $n;
        }
    }

    $socket->blocking(1);

    return $self;
}


sub get {
    my ($self, $path, @headers) = @_;

    $self->send(Test::Gray::HTTP::request_text('GET', $path, \@headers));

    return $self->receive('GET') || die "closed without a response\n";
}


# GET requests without a pause between them: a path each

sub pipeline {
    my ($self, @paths) = @_;

    $self->send(join '', map { Test::Gray::HTTP::request_text('GET', $_, []) }
                         @paths);

    return map { $self->receive('GET') || die "closed without a response\n" }
           @paths;
}


# reads something; false at the end

sub more {
    my ($self) = @_;

    my $end = Time::HiRes::time() + $self->{timeout};
    my $left;

    while (($left = $end - Time::HiRes::time()) > 0) {
        next unless IO::Select->new($self->{socket})->can_read($left);

        my $n = sysread $self->{socket}, $self->{buffer}, 65536,
                        length $self->{buffer};
        next if !defined $n && $!{EINTR};
        return $n;
    }

    die "timed out in reading\n";
}


sub take {
    my ($self, $length) = @_;

    while (length $self->{buffer} < $length) {
        $self->more or die "closed in the middle of a response\n";
    }

    return substr $self->{buffer}, 0, $length, '';
}


sub line {
    my ($self) = @_;

    my $at;

    until (($at = index $self->{buffer}, "\r\n") >= 0) {
        $self->more or die "closed in the middle of a response\n";
    }

    return substr $self->take($at + 2), 0, $at;
}


# false where the connection was closed before a response

sub receive {
    my ($self, $method) = @_;

    return if $self->{buffer} eq '' && !$self->more;

    my $response = $self->head;

    while ($response->{status} =~ /^1/ && $response->{status} != 101) {
        $response = $self->head;
    }

    $response->{body} = $self->body($response, $method || 'GET');

    return $response;
}


sub head {
    my ($self) = @_;

    my $line = $self->line;
    my ($status, $reason) = $line =~ m{^HTTP/1\.[01] (\d{3}) ?(.*)$}
        or die "invalid status line: $line\n";
    my %headers;

    while (($line = $self->line) ne '') {
        my ($name, $value) =
            $line =~ m{^([!#\$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*
                       ([\t\x20-\x7e\x80-\xff]*?)[ \t]*$}x
            or die "invalid header: $line\n";

        push @{ $headers{lc $name} }, $value;
    }

    $_ = @$_ > 1 ? $_ : $_->[0] for values %headers;

    return { status => $status, reason => $reason, headers => \%headers };
}


sub body {
    my ($self, $response, $method) = @_;

    my $headers = $response->{headers};

    return '' if $method eq 'HEAD' || $response->{status} =~ /^(?:101|[23]04)$/;

    if (($headers->{'transfer-encoding'} || '') eq 'chunked') {
        my $body = '';

        while (1) {
            my $line = $self->line;
            my ($size) = $line =~ /^([0-9a-fA-F]{1,8})$/
                or die "invalid chunk size: $line\n";

            $body .= $self->take(hex $size);
            $self->line eq '' or die "invalid end of a chunk\n";
            return $body if hex $size == 0;
        }
    }

    return $self->take($headers->{'content-length'})
        if defined $headers->{'content-length'};

    1 while $self->more;

    return $self->take(length $self->{buffer});
}


1;
