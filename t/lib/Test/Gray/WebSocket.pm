package Test::Gray::WebSocket;

# Copyright (C) the nginx gray module authors
#
# A WebSocket client: text frames, and close.

use strict;
use warnings;

use IO::Select;
use MIME::Base64 ();

use Test::Gray::Backend ();


# http: a Test::Gray::HTTP; dies where the upgrade is refused

sub new {
    my ($class, $http, $path, @headers) = @_;

    my $key = MIME::Base64::encode_base64(
        pack('N4', map { int rand 2 ** 32 } 1 .. 4), '');

    my $connection = $http->connect;

    $connection->send(Test::Gray::HTTP::request_text('GET', $path, [
        'Upgrade'               => 'websocket',
        'Connection'            => 'Upgrade',
        'Sec-WebSocket-Key'     => $key,
        'Sec-WebSocket-Version' => 13,
        @headers
    ]));

    my $response = $connection->receive or die "closed\n";

    die "upgrade refused: $response->{status}\n"
        if $response->{status} != 101;
    die "wrong accept\n" if $response->{headers}{'sec-websocket-accept'}
                            ne Test::Gray::Backend::websocket_accept($key);

    # frames are read from the socket, past the client's buffer

    die "bytes before the first frame\n" if length $connection->{buffer};

    return bless { socket => $connection->{socket},
                   timeout => $http->{timeout} }, $class;
}


# sends a text and returns the answer; undef where the connection has ended

sub ask {
    my ($self, $text) = @_;

    my ($opcode, $answer) = $self->frame(1, $text);

    return defined $opcode && $opcode == 1 ? $answer : undef;
}


sub close {
    my ($self) = @_;

    my ($opcode) = $self->frame(8, pack 'n', 1000);

    close $self->{socket};

    return defined $opcode && $opcode == 8;
}


sub frame {
    my ($self, $opcode, $payload) = @_;

    my $mask = pack 'N', int rand 2 ** 32;

    eval {
        Test::Gray::Backend::websocket_write($self->{socket}, $opcode,
                                             $payload, $mask);
        1;
    } or return;

    IO::Select->new($self->{socket})->can_read($self->{timeout})
        or die "timed out in reading\n";

    return Test::Gray::Backend::websocket_read($self->{socket});
}


1;
