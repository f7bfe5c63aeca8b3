#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# docs/document.schema.json judges documents as the module does: those of the
# tests, the docs and the examples, and tens of thousands of mutants.

use strict;
use warnings;

use FindBin;
use Test::More;

# what it runs is built with sanitizers of its own

plan skip_all => 'is the same for every nginx' if $ENV{TEST_SANITIZER_LOG};
plan tests => 3;

my $out = qx($FindBin::Bin/../util/schema 2>&1);

is($?, 0, 'no difference') or diag($out);

# a comparison of few documents would not say much

my ($all, $good) = $out =~ /^documents: (\d+), (\d+) of them good$/m;
my ($mutants, $harmless) = $out =~ /^mutants: (\d+), (\d+) of them good$/m;

ok(($good || 0) > 1000 && $all - $good > 500, 'documents of both kinds')
    or diag($out);
ok(($harmless || 0) > 1000 && $mutants - $harmless > 10000,
   'mutants of both kinds') or diag($out);
