#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# What is counted where clients give up.

use strict;
use warnings;

use FindBin;
use Test::More;

use lib "$FindBin::Bin/lib";
use Test::Gray;
use Test::Gray::Acting;
use Test::Gray::Counted;
use Test::Gray::Process;

my $t = Test::Gray->new;

my $timeout = 200 * $Test::Gray::Process::scale;

$t->daemon($_ => acting($_)) for qw(v1 v2);

my $counted = Test::Gray::Counted->new($t,
    app    => 'server 127.0.0.1:%%PORT_v2%%;',
    second => 'server 127.0.0.1:%%PORT_dead%% max_fails=0;'
              . ' server 127.0.0.1:%%PORT_v2%% backup;');

$t->config(<<"END")->start;
http {
${\$counted->http}
    server {
        listen 127.0.0.1:%%PORT%%;
        ${\$counted->log}

        location /app        { proxy_pass http://app; }
        location /unbuffered { proxy_pass http://app; proxy_buffering off; }
        location /second     { proxy_pass http://second; }

        location /ignored {
            proxy_pass http://app;
            proxy_ignore_client_abort on;
            proxy_read_timeout ${timeout}ms;
        }

        location /slow {
            proxy_pass http://app;
            proxy_max_temp_file_size 0;
            send_timeout ${timeout}ms;
        }

        location /slow/unbuffered {
            proxy_pass http://app;
            proxy_buffering off;
            send_timeout ${timeout}ms;
        }

        location /checked {
            set \$used \$gray_app;
            auth_request /check;
            proxy_pass http://app;
        }

        location = /check {
            proxy_pass http://127.0.0.1:%%PORT_v1%%/;
            proxy_pass_request_body off;
            proxy_set_header Content-Length "";
        }

        location /used {
            set \$used \$gray_app;
            proxy_pass http://app;
        }
    }
}
END


sub text { return Test::Gray::HTTP::request_text('GET', @_) }


# clients that leave once the backend waits: before there is a header, or within the body

sub leaves {
    my ($path, $do, @expected) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    $counted->case("$path $do, the client leaves", sub {
        my $connection = $t->http->connect;

        $connection->send(text("/$path", [ 'X-Do' => $do ]));
        acted($t, $do);

        is($counted->live, $path =~ /checked/ ? ''
                           : ($path =~ /second/ ? 'second' : 'app')
                             . ' canary: live', "$path $do: live");

        # what has come of the body has come to the client

        $connection->more if $do =~ /stall/ && $path =~ /unbuffered/;
    }, @expected);
}


my $app = 'app canary: split';

leaves('app', 'v2 silent', "$app 499, duration");
leaves('app', 'v2 begun', "$app 499, duration");
leaves('second', 'v2 silent', 'second canary: split 499, connect, duration');

for my $path (qw(app unbuffered)) {
    leaves($path, "v2 $_", "$app 2xx, header, duration")
        for qw(stall cut_stall);
}

leaves('ignored', 'v2 silent', "$app 5xx, timeout, duration");
leaves('checked', 'v1 silent', 'app canary: closed');

$counted->case('the client leaves with a part of its body', sub {
    $t->http->connect->send("POST /used HTTP/1.1\r\nHost: localhost\r\n"
                            . "Content-Length: 100\r\n\r\nx");
    return;
}, 'app canary: closed');

# it stays, and reads nothing

for my $path (qw(slow slow/unbuffered)) {
    my $connection = $t->http->connect;

    $counted->case("$path: the client does not read", sub {
        $connection->send(text("/$path", [ 'X-Do' => 'v2 flood' ]));
    }, "$app 2xx, header, duration");
}

$t->done;
