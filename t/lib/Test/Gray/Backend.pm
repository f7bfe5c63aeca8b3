package Test::Gray::Backend;

# Copyright (C) the nginx gray module authors
#
# Backends for Test::Gray's daemon():
#
#     $t->daemon(v1 => fastcgi(sub { my ($params, $body) = @_; ... }));
#
# The code returns the text of a response, and its status if that is not 200.
# Each connection has a process of its own, so that kept connections block
# nobody.

use strict;
use warnings;

use Digest::SHA ();
use Exporter    ();
use POSIX       ();

our @ISA = ('Exporter');
our @EXPORT = qw(http fastcgi scgi uwsgi websocket);

use constant {
    FCGI_BEGIN_REQUEST => 1,
    FCGI_END_REQUEST   => 3,
    FCGI_PARAMS        => 4,
    FCGI_STDIN         => 5,
    FCGI_STDOUT        => 6,
    FCGI_KEEP_CONN     => 1,
};


# calls the code with each connection, in a process of its own

sub serve {
    my ($code) = @_;

    return sub {
        my ($listen) = @_;

        local $SIG{CHLD} = 'IGNORE';

        while (1) {
            my $socket = $listen->accept or next;
            my $pid = fork();

            if (defined $pid && $pid == 0) {
                close $listen;
                binmode $socket;
                eval { $code->($socket); 1 } or warn $@;
                close $socket;
                POSIX::_exit(0);
            }

            close $socket;
        }
    };
}


sub read_exactly {
    my ($socket, $length) = @_;

    my $buffer = '';

    while (length $buffer < $length) {
        my $n = sysread $socket, $buffer, $length - length $buffer,
                        length $buffer;
        next if !defined $n && $!{EINTR};
        return unless $n;
    }

    return $buffer;
}


sub write_all {
    my ($socket, $bytes) = @_;

    while (length $bytes) {
        my $n = syswrite $socket, $bytes;
        next if !defined $n && $!{EINTR};
        die "write: $!\n" unless defined $n;
        substr $bytes, 0, $n, '';
    }

    return;
}


sub plain {
    my ($text) = @_;

    return "Content-Type: text/plain\r\nContent-Length: " . length($text)
           . "\r\n\r\n$text";
}


sub status { return 'Status: ' . ($_[0] || 200) . "\r\n" }


# -- HTTP: the code gets the head of a request and the connection; where it
# returns nothing the connection is closed as it is

sub http {
    my ($code) = @_;

    return serve(sub {
        my ($socket) = @_;

        my $head = read_head($socket);
        my $text = $code->($head, $socket);

        write_all($socket, "HTTP/1.1 200 OK\r\nConnection: close\r\n"
                           . plain($text)) if defined $text;
    });
}


sub read_head {
    my ($socket) = @_;

    my $head = '';

    until ($head =~ /\r\n\r\n\z/) {
        my $byte = read_exactly($socket, 1);
        die "no request\n" unless defined $byte;
        $head .= $byte;
    }

    return $head;
}


# -- FastCGI: the code gets the connection, too; where it returns nothing that
# is closed as it is

sub fastcgi {
    my ($code) = @_;

    return serve(sub {
        my ($socket) = @_;

        1 while fastcgi_request($socket, $code);
    });
}


sub fastcgi_request {
    my ($socket, $code) = @_;

    my ($keep, $params, $body) = (0, '', '');

    while (1) {
        my $header = read_exactly($socket, 8);
        return 0 unless defined $header;

        my ($version, $type, $id, $length, $padding) =
            unpack 'C C n n C', $header;
        die "FastCGI version $version\n" if $version != 1;

        my $content = read_exactly($socket, $length + $padding);
        substr $content, $length, $padding, '';

        if ($type == FCGI_BEGIN_REQUEST) {
            $keep = unpack('x2 C', $content) & FCGI_KEEP_CONN;

        } elsif ($type == FCGI_PARAMS) {
            $params .= $content;

        } elsif ($type == FCGI_STDIN && $length) {
            $body .= $content;

        } elsif ($type == FCGI_STDIN) {
            my ($text, $status) =
                $code->(fastcgi_params($params), $body, $socket);
            return 0 unless defined $text;

            write_all($socket,
                      fastcgi_record(FCGI_STDOUT, $id,
                                     status($status) . plain($text))
                      . fastcgi_record(FCGI_STDOUT, $id, '')
                      . fastcgi_record(FCGI_END_REQUEST, $id, "\0" x 8));
            return $keep;

        } else {
            die "FastCGI record type $type\n";
        }
    }
}


sub fastcgi_record {
    my ($type, $id, $content) = @_;

    return pack('C C n n C x', 1, $type, $id, length $content, 0) . $content;
}


sub fastcgi_params {
    my ($bytes) = @_;

    my %params;
    my $at = 0;

    my $length = sub {
        my $n = ord substr $bytes, $at, 1;

        if ($n < 128) {
            $at++;
            return $n;
        }

        $n = unpack('N', substr $bytes, $at, 4) & 0x7fffffff;
        $at += 4;
        return $n;
    };

    while ($at < length $bytes) {
        my $name = $length->();
        my $value = $length->();

        $params{substr $bytes, $at, $name} =
            substr $bytes, $at + $name, $value;
        $at += $name + $value;
    }

    return \%params;
}


# -- SCGI: a netstring of names and values, each ended by a NUL

sub scgi {
    my ($code) = @_;

    return serve(sub {
        my ($socket) = @_;

        my $digits = '';

        until ($digits =~ s/:\z//) {
            my $byte = read_exactly($socket, 1);
            die "no SCGI length\n" unless defined $byte && $byte =~ /[\d:]/;
            $digits .= $byte;
        }

        my $params = read_exactly($socket, $digits);
        read_exactly($socket, 1) eq ',' or die "no end of SCGI headers\n";

        $params =~ s/\0\z//;

        my %params = split /\0/, $params, -1;
        my $body = read_exactly($socket, $params{CONTENT_LENGTH} || 0);

        my ($text, $status) = $code->(\%params, $body);

        write_all($socket, status($status) . plain($text));
    });
}


# -- uwsgi: little-endian lengths

sub uwsgi {
    my ($code) = @_;

    return serve(sub {
        my ($socket) = @_;

        my (undef, $length, undef) = unpack 'C v C', read_exactly($socket, 4);
        my %params = unpack '(v/a*)*', read_exactly($socket, $length);
        my $body = read_exactly($socket, $params{CONTENT_LENGTH} || 0);

        my ($text, $status) = $code->(\%params, $body);

        write_all($socket, 'HTTP/1.1 ' . ($status || 200) . " Status\r\n"
                           . plain($text));
    });
}


# -- WebSocket: answers each text frame with what the code makes of it

sub websocket {
    my ($code) = @_;

    return serve(sub {
        my ($socket) = @_;

        my ($key) = read_head($socket) =~ /^Sec-WebSocket-Key: (\S+)\r$/mi
            or die "no WebSocket key\n";

        write_all($socket, "HTTP/1.1 101 Switching Protocols\r\n"
            . "Upgrade: websocket\r\nConnection: Upgrade\r\n"
            . 'Sec-WebSocket-Accept: ' . websocket_accept($key)
            . "\r\n\r\n");

        while (my ($opcode, $text) = websocket_read($socket)) {
            websocket_write($socket, $opcode,
                            $opcode == 1 ? $code->($text) : $text);
            last if $opcode == 8;
        }
    });
}


sub websocket_accept {
    my ($key) = @_;

    return Digest::SHA::sha1_base64(
               $key . '258EAFA5-E914-47DA-95CA-C5AB0DC85B11') . '=';
}


# opcode and payload of one frame; nothing at the end

sub websocket_read {
    my ($socket) = @_;

    my $header = read_exactly($socket, 2);
    return unless defined $header;

    my ($first, $length) = unpack 'C C', $header;
    my $masked = $length & 128;

    $length &= 127;
    $length = unpack 'n', read_exactly($socket, 2) if $length == 126;
    die "frame too long\n" if $length == 127;

    my $mask = $masked ? read_exactly($socket, 4) : "\0" x 4;
    my $payload = read_exactly($socket, $length);
    return unless defined $payload;

    return ($first & 15, $payload ^ substr($mask x (1 + $length / 4), 0,
                                           $length));
}


sub websocket_write {
    my ($socket, $opcode, $payload, $mask) = @_;

    my $length = length $payload;
    my $bit = defined $mask ? 128 : 0;
    my $frame = $length < 126
        ? pack 'C C', 128 | $opcode, $bit | $length
        : pack 'C C n', 128 | $opcode, $bit | 126, $length;

    if (defined $mask) {
        $frame .= $mask;
        $payload ^= substr $mask x (1 + $length / 4), 0, $length;
    }

    return write_all($socket, $frame . $payload);
}


1;
