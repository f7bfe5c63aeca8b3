#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# The admin API: however a body comes, in memory, in a file, in chunks, or
# not as a whole.

use strict;
use warnings;

use FindBin;
use Test::More;

use lib "$FindBin::Bin/lib";
use Test::Gray;
use Test::Gray::Process;


my $t = Test::Gray->new->config(<<'END')->start;
http {
    gray_zone  gray 1m;

    gray_release app {
        zone     gray;
        hash     $cookie_uid;
        variant  off;
        variant  on weight=0%;
    }

    server {
        listen  127.0.0.1:%%PORT%%;

        location /gray/   { gray_admin; }
        location /small/  { gray_admin; client_body_buffer_size 1k; }
        location /file/   { gray_admin; client_body_in_file_only clean; }
        location /single/ {
            gray_admin;
            client_body_in_single_buffer on;
            client_body_buffer_size 16k;
        }
        location /mirrored/ { gray_admin; mirror /mirror; }
        location /any/      { gray_admin; client_max_body_size 0; }
        location /little/   { gray_admin; client_max_body_size 100; }

        location = /mirror  { return 204; }
        location = /on      { return 200 "$gray_app"; }
    }
}
END

my @locations = qw(gray small file single mirrored any);
my $limit = 3 * 64 * 1024;


# a patch of that many bytes

sub patch {
    my ($weight, $size) = @_;

    my $text = qq({"variants":{"on":{"weight":$weight}}});

    return ' ' x ($size - length $text) . $text if $size > length $text;
    return $text;
}


sub send_patch {
    my ($location, $body, @headers) = @_;

    my $response = $t->request('PATCH', "/$location/releases/app",
                               [ 'Content-Type' => 'application/json',
                                 @headers ], $body);

    $response->{json} = eval { JSON::PP::decode_json($response->{body}) };
    return $response;
}


sub chunks {
    my ($text, $size) = @_;

    return [ unpack "(a$size)*", $text ];
}


sub revision { return $t->api('GET', '/gray/releases/app')->{json}{revision} }


# -- whole bodies; each is another change

my $count = 0;

sub next_weight { return sprintf '%.2f', ++$count / 100 }

for my $location (@locations) {
    for my $size (0, 1000, 1023, 1024, 1025, 16384, 65536, $limit) {
        my $weight = next_weight();
        my $response = send_patch($location, patch($weight, $size));
        is($response->{status}, 200, "$location, $size bytes");
        cmp_ok($response->{json}{variants}{on}{weight}, '==', $weight,
               "$location, $size bytes: weight");
    }

    for ([ 0, 1 ], [ 1500, 7 ], [ 5000, 1024 ], [ $limit, 20000 ]) {
        my ($size, $chunk) = @$_;
        my $weight = next_weight();
        my $response = send_patch($location,
                                  chunks(patch($weight, $size), $chunk));
        cmp_ok($response->{json}{variants}{on}{weight}, '==', $weight,
               "$location, $size bytes in chunks of $chunk");
    }
}


# -- too large

for my $location (@locations) {
    my $text = patch(1, $limit + 1);

    for ([ 'length', $text ], [ 'chunks', chunks($text, 8192) ]) {
        my ($how, $body) = @$_;
        my $response = send_patch($location, $body);

        is($response->{status}, 413, "$location, too large, $how");
        like($response->{json}{detail}, qr/at most $limit bytes long/,
             "$location, too large, $how: detail");
    }
}

is(send_patch('little', patch(1, 101))->{status}, 413, 'too large for nginx');
is(send_patch('little', patch(1, 100))->{status}, 200, 'not so');


# -- connections that go on

my $text = patch(2, $limit + 1);
my $connection = $t->http->connect;
my @type = ('Content-Type' => 'application/json');

for my $round (1, 2) {
    $connection->send(Test::Gray::HTTP::request_text('PATCH',
                      '/gray/releases/app', \@type, $text));
    is($connection->receive->{status}, 413, "too large, round $round");

    $connection->send(Test::Gray::HTTP::request_text('PATCH',
                      '/gray/releases/app', \@type, patch($round, 5000)));
    is($connection->receive->{status}, 200, "and on, round $round");
}

$connection->send(join '',
    Test::Gray::HTTP::request_text('POST', '/gray/status', [], 'x' x 1000),
    Test::Gray::HTTP::request_text('GET', '/on', [ Connection => 'close' ]));
is($connection->receive->{status}, 405, 'a body that nobody asked for');
is($connection->receive->{status}, 200, 'is skipped');

$connection = $t->http->connect;
my $body = patch(3, 0);
$connection->send(Test::Gray::HTTP::request_text('PATCH', '/gray/releases/app',
    [ @type, 'Content-Length' => length $body, Expect => '100-continue',
      Connection => 'close' ]));
like($connection->line, qr{^HTTP/1.1 100 }, 'Expect: 100-continue');
$connection->line;
$connection->send($body);
is($connection->receive->{status}, 200, 'continued');

like($t->raw("PATCH /gray/releases/app HTTP/1.0\r\n"
             . "Content-Type: application/json\r\n"
             . 'Content-Length: ' . length(patch(4, 2000)) . "\r\n\r\n"
             . patch(4, 2000)),
     qr{^HTTP/1.1 200 .*"weight": 4\b}s, 'HTTP/1.0');


# -- bodies that are none: text, status

my @malformed = (
    [ '', 400 ],
    [ ' ' x 3000, 400 ],
    [ '{"enabled":true}{"enabled":true}', 400 ],
    [ "\xef\xbb\xbf{}", 400 ],
    [ "\xff\xfe{\0}\0", 400 ],
    [ "{}\0", 400 ],
    [ '{"enabled":', 400 ],
    [ '{}', 200 ],
);

my $before = revision();

for my $location (@locations) {
    for (@malformed) {
        my ($text, $status) = @$_;
        my $name = "$location, " . substr JSON::PP->new->ascii->allow_nonref
                                          ->encode($text), 0, 40;

        is(send_patch($location, $text)->{status}, $status, $name);
        is(send_patch($location, chunks($text, 3))->{status}, $status,
           "$name, chunked");
    }
}

is(send_patch('gray', '{}', 'Transfer-Encoding' => 'gzip')->{status}, 501,
   'unknown coding');


# -- bodies that are cut off

for my $location (@locations) {
    for ([ 'length', 'Content-Length: 3000' ],
         [ 'chunks', 'Transfer-Encoding: chunked' ])
    {
        my ($how, $header) = @$_;

        my $connection = $t->http->connect;
        $connection->send("PATCH /$location/releases/app HTTP/1.1\r\n"
                          . "Host: localhost\r\n"
                          . "Content-Type: application/json\r\n$header\r\n\r\n"
                          . ($how eq 'chunks' ? "bb8\r\n" : '')
                          . substr patch(9, 3000), 0, 2999);
        shutdown $connection->{socket}, 1;

        ok($t->wait_log(qr/client prematurely closed connection/),
           "$location, cut off, $how");
    }
}

$connection = $t->http->connect;
$connection->send("PATCH /gray/releases/app HTTP/1.1\r\nHost: localhost\r\n"
                  . "Content-Type: application/json\r\n"
                  . "Transfer-Encoding: chunked\r\n\r\nx\r\n");
is($connection->receive->{status}, 400, 'invalid chunk');

is(revision(), $before, 'none of them has changed anything');

is_deeply([ grep { -f } glob($t->dir . '/client_body_temp/*') ], [],
          'no temporary file is left');

$t->done;
