#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# The admin API: what is said of a body over client_max_body_size, which nginx
# refuses, in locations and in the blocks inside them.

use strict;
use warnings;

use FindBin;
use Test::More;

use lib "$FindBin::Bin/lib";
use Test::Gray;


my $t = Test::Gray->new->config(<<'END')->start;
http {
    gray_zone  gray 1m;

    client_max_body_size  100;

    gray_release app {
        zone     gray;
        hash     $arg_uid;
        variant  off;
        variant  on weight=0%;
    }

    server {
        listen      127.0.0.1:%%PORT%%;
        error_page  403 = /forbidden;

        location /plain/  { gray_admin; }
        location = /exact { gray_admin; client_max_body_size 200; }

        location /except/ {
            gray_admin;
            limit_except GET { allow 127.0.0.1; deny all; }
        }

        location /if/ {
            gray_admin;
            client_max_body_size  200;
            if ($http_x_set) { set $x 1; }
        }

        location /own/ {
            gray_admin;
            error_page 413 = /large;
        }

        location /own_except/ {
            gray_admin;
            error_page 413 = /large;
            limit_except GET { allow all; }
        }

        location /own_if/ {
            gray_admin;
            if ($http_x_set) { error_page 413 = /large; }
        }

        location /kept/   { gray_admin; deny all; }
        location /remote/ { gray_admin remote; }

        location = /large     { return 200 "large"; }
        location = /forbidden { return 200 "forbidden"; }
    }

    server {
        listen      127.0.0.1:%%PORT_own%%;
        error_page  413 = /large;

        location /server/ { gray_admin; }
        location = /large { return 200 "large"; }
    }
}
END


# a patch of that many bytes, as a whole or in chunks, which nginx judges when
# it reads them, behind "if"

sub patch {
    my ($http, $chunks, $location, $size, @headers) = @_;

    my $body = '{"variants":{"on":{"weight":0}}}';

    $body .= ' ' x ($size - length $body);

    return $http->request('PATCH', $location eq '/exact'
                                   ? $location : "${location}releases/app",
                          [ 'Content-Type' => 'application/json', @headers ],
                          $chunks ? [ unpack '(a40)*', $body ] : $body);
}


# location, headers, limit; is it the location's own page, of a whole body and
# of chunks?

my @set = ('X-Set' => 1);
my @locations = (
    [ '/plain/', [], 100 ],
    [ '/exact', [], 200 ],
    [ '/except/', [], 100 ],
    [ '/if/', [], 200 ],
    [ '/if/', \@set, 200 ],
    [ '/own/', [], 100, 1, 1 ],
    [ '/own_except/', [], 100, 1, 1 ],
    [ '/own_if/', [], 100 ],
    [ '/own_if/', \@set, 100, 0, 1 ],
    [ '/remote/', [], 100 ],
);

for (@locations) {
    my ($location, $headers, $limit, @own) = @$_;

    for my $chunks (0, 1) {

        # that is no route, so nothing is read

        next if $chunks && $location eq '/exact';

        my $name = join ' ', $chunks ? 'chunks' : 'whole', $location,
                             @$headers;
        my $response = patch($t->http, $chunks, $location, $limit + 1,
                             @$headers);

        if ($own[$chunks]) {
            is($response->{body}, 'large', "$name: its own page");

        } else {
            my $detail = 'the body is larger than \"client_max_body_size\" '
                         . "of nginx.conf allows here, $limit bytes";

            is($response->{status}, 413, $name);
            is($response->{headers}{'content-type'},
               'application/problem+json', "$name: problem");
            like($response->{body}, qr/"detail": "\Q$detail\E"/,
                 "$name: why");
        }

        is(patch($t->http, $chunks, $location, $limit, @$headers)->{status},
           $location eq '/exact' ? 405 : 200, "$name: a byte less");
    }
}

is(patch($t->http('own'), 0, '/server/', 101)->{body}, 'large',
   'the page of the server');
is(patch($t->http('own'), 0, '/server/', 100)->{status}, 200, 'a byte less');


# other pages stay what they are, and who is not let in is told nothing else

is($t->get('/kept/status')->{body}, 'forbidden', 'error_page 403');

for my $location ('/plain/', '/except/', '/if/', '/remote/') {
    my $response = patch($t->http, 0, $location, 201,
                         Origin => 'http://evil.test');

    is($response->{status}, 403, "$location, of another origin");
    like($response->{body}, qr/page of another origin/,
         "$location, of another origin: why");
}

$t->done;
