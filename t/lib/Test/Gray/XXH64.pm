package Test::Gray::XXH64;

# Copyright (C) the nginx gray module authors
#
#     use Test::Gray::XXH64;
#
#     xxh64($data, $seed);

use strict;
use warnings;

use Exporter ();

our @ISA = ('Exporter');
our @EXPORT = qw(xxh64);


# as the specification has it; the result is a signed number of 64 bits

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


1;
