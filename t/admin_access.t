#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# The admin API: who gets in.

use strict;
use warnings;

use FindBin;
use IO::Socket::IP;
use Test::More;

use lib "$FindBin::Bin/lib";
use Test::Gray;
use Test::Gray::Process;


# What this machine has: IPv6, an address that is not loopback (nothing is
# sent to learn it), and HTTP/2 at both ends.

my $ipv6 = IO::Socket::IP->new(LocalHost => '::1', LocalPort => 0,
                               Listen => 1, Proto => 'tcp');

my $probe = IO::Socket::IP->new(PeerHost => '192.0.2.1', PeerPort => 9,
                                Proto => 'udp');
my $address = $probe ? $probe->sockhost : '127.0.0.1';
$address = '' if $address =~ /^(?:127|0)\./;

my $http2 = (capture('curl', '-V'))[1] =~ /^Features:.*\bHTTP2\b/m
            && Test::Gray->has('--with-http_v2_module');
my $option = Test::Gray->version_at_least('1.25.1') ? '; http2 on' : ' http2';

my $more = join ' ',
    $ipv6    ? ('listen [::1]:%%PORT_v6%%;',
                'listen [::]:%%PORT_dual%% ipv6only=off;') : (),
    $address ? "listen $address:%%PORT_other%%;" : ();
my $second = $http2
    ? "server { listen 127.0.0.1:%%PORT_h2%%$option; include api.conf; }"
    : '';

my $t = Test::Gray->new;

$t->write_file('api.conf', <<'END');
    location /gray/     { gray_admin; }
    location /remote/   { gray_admin remote; }
    location /readonly/ { gray_admin readonly; }
    location /both/     { gray_admin remote readonly; }

    location /real/ {
        gray_admin;
        set_real_ip_from  127.0.0.0/8;
        set_real_ip_from  unix:;
        real_ip_header    X-Client;
    }

    location /denied/   { gray_admin remote; deny all; }

    location /front/    { proxy_pass http://127.0.0.1:%%PORT%%/gray/; }
    location /xff/ {
        proxy_set_header  X-Forwarded-For $proxy_add_x_forwarded_for;
        proxy_pass        http://127.0.0.1:%%PORT%%/gray/;
    }
    location /inner/    { rewrite ^ /gray/status last; }
END
$t->write_file('api.conf', $t->expand($t->read_file('api.conf')));

$t->config(<<"END")->start;
http {
    gray_zone  gray 1m;

    gray_release app {
        zone     gray;
        hash     \$cookie_uid;
        variant  off;
        variant  on weight=0%;
    }

    server {
        listen       127.0.0.1:%%PORT%%;
        listen       unix:%%DIR%%/gray.sock;
        $more

        server_name  admin.test  *.sub.test  .both.test  tail.*
                     ~^re[0-9]+\\.test\$  "";
        include      api.conf;
    }

    server {
        listen       127.0.0.1:%%PORT%%;
        server_name  other.test;
        include      api.conf;
    }

    server {
        listen       127.0.0.1:%%PORT_proxy%% proxy_protocol;
        include      api.conf;
    }

    $second
}
END

my $port = $t->port;


sub allowed {
    my ($location, $headers, $name, $http) = @_;

    my $response = ($http || $t->http)->get("/$location/status", @$headers);

    is($response->{status}, 200, $name) or diag($response->{body});
}


sub denied {
    my ($location, $headers, $detail, $name, $http) = @_;

    my $response = ($http || $t->http)->get("/$location/status", @$headers);

    is($response->{status}, 403, $name);
    is($response->{headers}{'content-type'}, 'application/problem+json',
       "$name: problem");
    like($response->{body}, $detail, "$name: why");
}


# -- local clients, with and without "remote"

my $unix = Test::Gray::HTTP->new(unix => $t->dir . '/gray.sock');

allowed('gray', [], 'loopback');
allowed('gray', [], 'another loopback address',
        $t->http('', source => '127.1.2.3'));
allowed('gray', [], 'unix socket', $unix);

SKIP: {
    skip 'no IPv6', 2 unless $ipv6;
    allowed('gray', [], 'IPv6 loopback', $t->http('v6', host => '::1'));
    allowed('gray', [], 'IPv4 loopback, mapped', $t->http('dual'));
}

SKIP: {
    skip 'no IPv6, or no address but loopback', 3 unless $ipv6 && $address;
    denied('gray', [], qr/connection is not from one/,
           'not loopback, mapped', $t->http('dual', host => $address));
}

SKIP: {
    skip 'no address but loopback', 4 unless $address;

    my $http = $t->http('other', host => $address);

    denied('gray', [], qr/connection is not from one/, 'not loopback', $http);
    allowed('remote', [], 'not loopback, remote', $http);
}

my @forwarded = (
    [ 'Forwarded', 'for=192.0.2.60' ],
    [ 'X-Forwarded-For', '127.0.0.1' ],
    [ 'x-forwarded-for', '' ],
    [ 'X-Real-IP', '127.0.0.1' ],
    [ 'Via', '1.1 x' ],
);

for (@forwarded) {
    my ($name, $value) = @$_;

    denied('gray', [ $name => $value ], qr/forwarded by a proxy/, $name);
    denied('gray', [ $name => $value ], qr/forwarded by a proxy/,
           "$name, unix socket", $unix);
    allowed('remote', [ $name => $value ], "$name, remote");
}

allowed('front', [], 'a proxy that says nothing is a local client');
is($t->get('/xff/status')->{status}, 403, 'one that says for whom');

# realip: who has come from a trusted address, and who is meant

allowed('real', [], 'realip, no header');
allowed('real', [ 'X-Client' => '127.0.0.9' ], 'realip, local');
denied('real', [ 'X-Client' => '192.0.2.1' ], qr/the realip module has set/,
       'realip, remote');
denied('real', [ 'X-Client' => '2001:db8::1' ], qr/the realip module has set/,
       'realip, remote, unix socket', $unix);

SKIP: {
    skip 'no address but loopback', 1 unless $address;

    my $real = $t->http('other', host => $address);
    denied('real', [ 'X-Client' => '127.0.0.1' ], qr/connection is not/,
           'realip makes nobody local', $real);
}

# PROXY protocol: no client of it is local

for my $line ('PROXY TCP4 127.0.0.1 127.0.0.1 1 2', 'PROXY UNKNOWN') {
    for ([ gray => 403 ], [ remote => 200 ]) {
        my ($location, $status) = @$_;
        my $connection = $t->http('proxy')->connect;

        $connection->send("$line\r\n" . Test::Gray::HTTP::request_text('GET',
                          "/$location/status", [ Connection => 'close' ]));
        is($connection->receive->{status}, $status, "$line, $location");
    }
}


# -- hosts: Host, let in

my @hosts = (
    [ 'localhost', 1 ], [ "localhost:$port", 1 ], [ 'LOCALHOST', 1 ],
    [ 'localhost.', 1 ],
    [ '127.0.0.1', 1 ], [ "127.0.0.1:$port", 1 ], [ '192.0.2.7', 1 ],
    [ '[::1]', 1 ], [ "[::1]:$port", 1 ], [ '[2001:db8::1]', 1 ],
    [ undef, 1 ],
    [ 'admin.test', 1 ], [ 'ADMIN.test:99', 1 ], [ 'admin.test.', 1 ],
    [ 'a.sub.test', 1 ], [ 'a.b.sub.test', 1 ], [ 'sub.test', 0 ],
    [ 'both.test', 1 ], [ 'a.both.test', 1 ], [ 'aboth.test', 0 ],
    [ 'tail.test', 1 ], [ 'tail.a.b', 1 ], [ 'tail', 0 ], [ 'a.tail.b', 0 ],
    [ 're7.test', 1 ], [ 're.test', 0 ], [ 're7.test.evil', 0 ],
    [ 'evil.test', 0 ], [ 'xadmin.test', 0 ], [ 'admin.test.evil.test', 0 ],
    [ '127.0.0.1.evil.test', 0 ], [ '127.0.0.256', 0 ], [ '127.1', 0 ],
    [ '[::1', 0 ], [ 'localhost.evil.test', 0 ], [ 'a.localhost', 0 ],
    [ 'other.test', 1 ],
);

for (@hosts) {
    my ($host, $in) = @$_;

    my $text = join "\r\n", 'GET /remote/status HTTP/1.0',
               defined $host ? "Host: $host" : (), '', '';
    my $name = defined $host ? "Host $host" : 'no Host';

    if ($in) {
        like($t->raw($text), qr{^HTTP/1.1 200 }, $name);

    } elsif ($host =~ /^\[/) {
        unlike($t->raw($text), qr{^HTTP/1.1 200 }, $name);

    } else {
        like($t->raw($text), qr{^HTTP/1.1 403 .*no name of the server}s,
             $name);
    }
}

like($t->raw("GET http://evil.test/gray/status HTTP/1.1\r\n"
             . "Host: localhost\r\nConnection: close\r\n\r\n"),
     qr{^HTTP/1.1 403 }, 'the host of an absolute URI');


# -- origins: Host, Origin, let in

my @origins = (
    [ 'localhost:80', 'http://localhost:80', 1 ],
    [ 'localhost', 'http://localhost', 1 ],
    [ 'LocalHost', 'https://localHOST', 1 ],
    [ "127.0.0.1:$port", "http://127.0.0.1:$port", 1 ],
    [ '[::1]:99', 'http://[::1]:99', 1 ],
    [ 'localhost:80', 'http://localhost:81', 0 ],
    [ 'localhost', 'http://localhost.evil.test', 0 ],
    [ 'localhost', 'http://evil.test', 0 ],
    [ 'localhost', 'null', 0 ],
    [ 'localhost', '', 0 ],
    [ 'localhost', 'localhost', 0 ],
    [ 'localhost', 'http://', 0 ],
    [ 'localhost', 'file://', 0 ],
);

for (@origins) {
    my ($host, $origin, $in) = @$_;
    my $name = "Host $host, Origin \"$origin\"";
    my $headers = [ Host => $host, Origin => $origin ];

    for my $location (qw(gray remote)) {
        $in ? allowed($location, $headers, "$name, $location")
            : denied($location, $headers, qr/page of another origin/,
                     "$name, $location");
    }
}

like($t->raw("GET /remote/ HTTP/1.0\r\nOrigin: http://localhost\r\n\r\n"),
     qr{^HTTP/1.1 403 }, 'Origin without a Host');

# all headers of the name count

my @twice = (
    [ 'Origin', 'http://localhost', 'http://evil.test',
      qr/page of another origin/ ],
    [ 'Sec-Fetch-Site', 'same-origin', 'cross-site',
      qr/page of another site/ ],
);

for (@twice) {
    my ($name, $own, $foreign, $detail) = @$_;

    denied('remote', [ $name => $own, $name => $foreign ], $detail,
           "$name, the second one");
    denied('remote', [ $name => $foreign, $name => $own ], $detail,
           "$name, the first one");
    allowed('remote', [ $name => $own, $name => $own ], "$name, twice");
}

for ([ 'cross-site', 0 ], [ 'Cross-Site', 0 ], [ 'same-origin', 1 ],
     [ 'same-site', 1 ], [ 'none', 1 ])
{
    my ($site, $in) = @$_;
    my $headers = [ 'Sec-Fetch-Site' => $site ];

    $in ? allowed('remote', $headers, "Sec-Fetch-Site: $site")
        : denied('remote', $headers, qr/page of another site/,
                 "Sec-Fetch-Site: $site");
}


# -- what is let in, and what it may

for ([ 'readonly', 403 ], [ 'both', 403 ], [ 'gray', 200 ], [ 'remote', 200 ])
{
    my ($location, $status) = @$_;
    my $path = "/$location/releases/app";

    is($t->api('PATCH', $path, {})->{status}, $status, "$location, PATCH");
    is($t->api('PUT', "$path?dry_run=1", {})->{status},
       $status == 200 ? 422 : 403, "$location, PUT");
    is($t->api('DELETE', $path)->{status}, $status, "$location, DELETE");
    is($t->api('GET', $path)->{status}, 200, "$location, GET");
    is($t->api('POST', "$path/explain", {})->{status}, 200,
       "$location, explain");
}

like($t->api('DELETE', '/readonly/releases/app')->{json}{detail},
     qr/"gray_admin readonly"/, 'readonly: why');
is($t->get('/denied/status')->{status}, 403, 'deny of nginx');
is($t->get('/inner/status')->{status}, 200, 'an internal redirect');
is($t->get('/inner/status', Via => 'x')->{status}, 403, 'of a remote client');


# -- HTTP/2

SKIP: {
    skip 'no HTTP/2', 4 unless $http2;

    my $url = 'http://127.0.0.1:' . $t->port('h2') . '/gray/status';
    my @command = ('curl', '-s', '-o', '/dev/null', '-w', '%{http_code}',
                   '--noproxy', '*', '--http2-prior-knowledge');

    for ([ 200 ], [ 403, 'Host: evil.test' ], [ 403, 'Origin: http://evil' ],
         [ 200, 'Origin: http://127.0.0.1:' . $t->port('h2') ])
    {
        my ($status, $header) = @$_;

        is((capture(@command, $header ? ('-H', $header) : (), $url))[1],
           $status, 'HTTP/2, ' . ($header || 'plain'));
    }
}

$t->done;
