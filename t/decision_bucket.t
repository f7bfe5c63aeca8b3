#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# An application can compute what nginx decides: the bucket of a key, by an
# XXH64 of its own, and the variant, by the allocation in the document.

use strict;
use warnings;

use FindBin;
use Test::More;

use lib "$FindBin::Bin/lib";
use Test::Gray;
use Test::Gray::XXH64;

my $t = Test::Gray->new->config(<<'END')->start;
http {
    gray_zone gray 1m;

    gray_release app {
        zone gray;
        hash $arg_uid $http_x_uid;
        variant stable;
        variant canary weight=5%;
        variant third weight=12.5%;
    }

    gray_release salted {
        zone gray;
        hash $arg_uid $http_x_uid;
        salt "a much longer salt, of more than 32 bytes, for the same keys";
        variant stable;
        variant canary weight=100%;
    }

    server {
        listen 127.0.0.1:%%PORT%%;
        large_client_header_buffers 4 128k;

        location / {
            return 200 "$gray_app $gray_app_bucket $gray_salted_bucket";
        }

        location /gray/ { gray_admin; }
    }
}
END


# the upper half of a product of 128 bits

sub bucket {
    my ($key, $salt) = @_;

    my $hash = unpack 'Q<', pack 'q<', xxh64($key, xxh64($salt, 0));
    my $low = ($hash & 0xffffffff) * 1_000_000 >> 32;

    return (($hash >> 32) * 1_000_000 + $low) >> 32;
}


is(sprintf('%016x', xxh64('', 0)), 'ef46db3751d8e999', 'XXH64 of nothing');
is(sprintf('%016x', xxh64('a' x 100, 0)), '375041e8b1decfb3',
   'XXH64 of 100 bytes');

my $allocation = $t->api('GET', '/gray/releases/app')->{json}{allocation};
my $salt = 'a much longer salt, of more than 32 bytes, for the same keys';
my $wrong = 0;

# keys of every length up to 80 in a query, and long ones in a header

my @keys = map({ join '', map { ('a' .. 'z', 0 .. 9)[rand 36] } 1 .. $_ }
               1 .. 80, 1000, 65535);

my @responses = $t->many(scalar @keys, sub {
    my $key = $keys[$_[0]];
    return length $key > 80 ? ('/', 'X-Uid' => $key) : "/?uid=$key";
});

for my $i (0 .. $#keys) {
    my $expected = bucket($keys[$i], 'app');
    my $variant = 'stable';

    for my $name (keys %$allocation) {
        for my $interval (@{ $allocation->{$name} }) {
            $variant = $name if $expected >= $interval->[0]
                                && $expected < $interval->[1];
        }
    }

    my $answer = "$variant $expected " . bucket($keys[$i], $salt);

    next if $responses[$i]{body} eq $answer;

    diag("$keys[$i]: $responses[$i]{body}, must be $answer");
    $wrong++;
}

is($wrong, 0, 'buckets and variants of ' . @keys . ' keys');

$t->done;
