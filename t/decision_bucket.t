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


# XXH64, as its specification has it

sub xxh64 {
    my ($data, $seed) = @_;

    use integer;

    # signed, with the bits that are meant

    my @p = unpack 'q<*', pack 'Q<*', 11400714785074694791,
            14029467366897019727, 1609587929392839161, 9650029242287828579,
            2870177450012600261;

    my $rotate = sub {
        my ($x, $n) = @_;
        return $x << $n | $x >> 64 - $n & (1 << $n) - 1;
    };

    my $shift = sub {
        my ($x, $n) = @_;
        return $x >> $n & (1 << 64 - $n) - 1;
    };

    my $round = sub {
        my ($acc, $lane) = @_;
        return $rotate->($acc + $lane * $p[1], 31) * $p[0];
    };

    my $length = length $data;
    my $h = $seed + $p[4];

    if ($length >= 32) {
        my @acc = ($seed + $p[0] + $p[1], $seed + $p[1], $seed,
                   $seed - $p[0]);

        while (length $data >= 32) {
            my @lane = unpack 'q<4', substr $data, 0, 32, '';
            $acc[$_] = $round->($acc[$_], $lane[$_]) for 0 .. 3;
        }

        $h = $rotate->($acc[0], 1) + $rotate->($acc[1], 7)
             + $rotate->($acc[2], 12) + $rotate->($acc[3], 18);
        $h = ($h ^ $round->(0, $_)) * $p[0] + $p[3] for @acc;
    }

    $h += $length;

    while (length $data >= 8) {
        my $lane = unpack 'q<', substr $data, 0, 8, '';
        $h = $rotate->($h ^ $round->(0, $lane), 27) * $p[0] + $p[3];
    }

    if (length $data >= 4) {
        my $lane = unpack 'L<', substr $data, 0, 4, '';
        $h = $rotate->($h ^ $lane * $p[0], 23) * $p[1] + $p[2];
    }

    for my $byte (unpack 'C*', $data) {
        $h = $rotate->($h ^ $byte * $p[4], 11) * $p[0];
    }

    $h = ($h ^ $shift->($h, 33)) * $p[1];
    $h = ($h ^ $shift->($h, 29)) * $p[2];

    return $h ^ $shift->($h, 32);
}


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
