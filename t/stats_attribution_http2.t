#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# What is counted of streams of HTTP/2, where a connection goes on behind one
# that its client has reset.

use strict;
use warnings;

use FindBin;
use Test::More;

use lib "$FindBin::Bin/lib";
use Test::Gray;
use Test::Gray::Acting;
use Test::Gray::Counted;

use constant {
    DATA => 0, HEADERS => 1, RST_STREAM => 3, SETTINGS => 4,
    END_STREAM => 1, END_HEADERS => 4,
    CANCEL => 8,
};

plan(skip_all => 'nginx without HTTP/2')
    unless Test::Gray->has('--with-http_v2_module');

my $listen = Test::Gray->version_at_least('1.25.1')
    ? 'listen 127.0.0.1:%%PORT%%; http2 on;'
    : 'listen 127.0.0.1:%%PORT%% http2;';

my $t = Test::Gray->new;

$t->daemon(v2 => acting('v2'));

my $counted = Test::Gray::Counted->new($t,
    app => 'server 127.0.0.1:%%PORT_v2%%;');

$t->config(<<"END")->start;
http {
${\$counted->http}
    server {
        $listen
        ${\$counted->log}

        location / { proxy_pass http://app; proxy_buffering off; }
    }
}
END


# -- a client

my $connection = $t->http->connect;
my $stream = -1;

$connection->send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" . frame(SETTINGS, 0, 0));


sub frame {
    my ($type, $flags, $id, $payload) = @_;

    $payload = '' unless defined $payload;

    return substr(pack('N', length $payload), 1)
           . pack('C C N', $type, $flags, $id) . $payload;
}


# a stream with a GET; names and values are literals

sub ask {
    my ($do) = @_;

    $stream += 2;

    my $block = "\x82\x86" . join '', map { pack 'C (C/a*)*', @$_ }
        [ 0, ':path', '/' ], [ 0, ':authority', 'localhost' ],
        [ 0, 'x-do', "v2 $do" ];

    $connection->send(frame(HEADERS, END_STREAM | END_HEADERS, $stream,
                            $block));
}


sub reset_stream {
    $connection->send(frame(RST_STREAM, 0, $stream, pack 'N', CANCEL));
}


# until the last stream has a frame like that

sub await {
    my ($wanted, $flag) = @_;

    while (1) {
        my ($length, $type, $flags, $id) =
            unpack 'N C C N', "\0" . $connection->take(9);

        $connection->take($length);

        return if $id == $stream && $type == $wanted
                  && ($flags & $flag) == $flag;
        die "frame $type\n" if $id == $stream && $type == RST_STREAM;
    }
}


# -- cases

my $app = 'app canary: split';

$counted->case('a stream', sub {
    ask('200');
    await(DATA, END_STREAM);
}, "$app 2xx, header, duration");

$counted->case('a failure', sub {
    ask('close');
    await(DATA, END_STREAM);
}, "$app 5xx, reset, duration");

for my $do (qw(silent begun)) {
    $counted->case("reset before the header: $do", sub {
        ask($do);
        acted($t, "v2 $do");
        is($counted->live, 'app canary: live', "$do: live");
        reset_stream();
    }, "$app 499, duration");
}

for my $do (qw(stall cut_stall)) {
    $counted->case("reset within the body: $do", sub {
        ask($do);
        await(HEADERS, END_HEADERS);
        await(DATA, 0);
        reset_stream();
    }, "$app 2xx, header, duration");
}

$counted->case('the connection goes on', sub {
    ask('404');
    await(DATA, END_STREAM);
}, "$app 4xx, header, duration");

$counted->cases(3, 'three streams at once', sub {
    for my $do (qw(silent stall 500)) {
        ask($do);
        $do eq '500' ? await(DATA, END_STREAM) : acted($t, "v2 $do");
    }

    is($counted->live, 'app canary: live x2', 'three streams: live');

    undef $connection;
}, "$app 2xx, split 499, split 5xx, header x2, duration x3");

$t->done;
