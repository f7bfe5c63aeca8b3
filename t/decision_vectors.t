#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# The buckets that the unit tests go by, and those of docs/document.md, are
# what another implementation of XXH64 makes of the same keys: python3-xxhash.

use strict;
use warnings;

use FindBin;
use Test::More;

use lib "$FindBin::Bin/lib";
use Test::Gray::Process;

my $top = "$FindBin::Bin/..";
my $python = '/usr/bin/python3';

plan(skip_all => 'no python3-xxhash')
    if (capture($python, '-c', 'import xxhash'))[0] != 0;

# all of t/unit/bucket_vectors.h is made anew

my ($status, $made, $error) = capture("$top/util/vectors");

is($status, 0, 'util/vectors') or diag($error);

my @made = split /^/, $made;
my @there = split /^/, slurp("$top/t/unit/bucket_vectors.h");
my @differ = grep { ($made[$_] || '') ne ($there[$_] || '') }
             0 .. ($#made > $#there ? $#made : $#there);
my $vectors = () = $made =~ /\b\d+ \}/g;

is(scalar(@differ), 0, 't/unit/bucket_vectors.h is what it makes')
    or diag(map { "line $_: " . ($there[$_ - 1] || "nothing\n") }
            map { $_ + 1 } @differ > 9 ? @differ[0 .. 9] : @differ);
cmp_ok($vectors, '>', 1000, "$vectors vectors");

# the function of the docs, called with the rows of the table below it

my $docs = slurp("$top/docs/document.md");
my ($function) = $docs =~ /^```python\n(import xxhash\n.*?)^```$/ms;
my (@calls, @said);

while ($docs =~ /^\| `([\w-]+)` \| `([0-9a-f]{16})` \| `([^`]+)`(.*?) \| (\d+)/mg)
{
    my ($salt, $seed, $key, $more, $bucket) = ($1, $2, $3, $4, $5);

    $key x= 1000 if $more =~ /1,000 times/;

    push @calls, sprintf "print('%%016x' %% xxhash.xxh64_intdigest('%s', 0), "
                         . "bucket('%s'.encode(), b'%s'))\n",
                         $salt, $key, $salt;
    push @said, "$seed $bucket";
}

cmp_ok(scalar(@said), '>', 5, 'there are rows');

($status, $made, $error) = capture($python, '-c',
                                   ($function || '') . join '', @calls);

is($status, 0, 'the function of the docs') or diag($error);
is_deeply([ split /\n/, $made ], \@said, 'says what the table says');

done_testing();
