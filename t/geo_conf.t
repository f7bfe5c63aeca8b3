#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# gray_geoip: what is refused, and why.

use strict;
use warnings;

use FindBin;
use Test::More;

use lib "$FindBin::Bin/lib";
use Test::Gray;
use Test::Gray::MMDB;

my $t = Test::Gray->new;

write_mmdb($t->dir . '/good.mmdb', {}, [ '1.0.0.0/8', { id => 1 } ]);

my $good = $t->read_file('good.mmdb');

(my $version = $good) =~ s/(ip_version)../$1\xa1\x05/s;
(my $tree = $good) =~ s/\A.../\x00\xff\xff/s;
(my $deep = $good) =~ s/id.\x01(?=.*\xab\xcd\xef)/"id" . "\x01\x04"/es;

$t->write_file('version.mmdb', $version);
$t->write_file('tree.mmdb', $tree);
$t->write_file('deep.mmdb', $deep);
$t->write_file('half.mmdb', substr $good, 0, length($good) / 2);
$t->write_file('tail.mmdb', substr $good, length($good) / 2);
$t->write_file('text.mmdb', "this is no database\n" x 100);
$t->write_file('empty.mmdb', '');
mkdir $t->dir . '/directory';
mkdir $t->dir . '/more';
link $t->dir . '/good.mmdb', $t->dir . '/more/good.mmdb';

my $metadata = 'The MaxMind DB file contains invalid metadata';

my @refused = (
    [ 'none.mmdb', 'open() failed (2: No such file or directory)' ],
    [ 'directory', 'is not a file' ],
    [ 'empty.mmdb', 'is empty' ],
    [ 'text.mmdb', $metadata ],
    [ 'half.mmdb', $metadata ],
    [ 'tail.mmdb', qr/gray_geoip ".*tail\.mmdb": \S/ ],
    [ 'version.mmdb', $metadata ],
    [ 'tree.mmdb', 'the search tree leads out of the file' ],
    [ 'deep.mmdb', qr/gray_geoip ".*deep\.mmdb": a value / ],
);

for (@refused) {
    my ($file, $why) = @$_;
    my ($status, $said) = $t->test_config("http { gray_geoip $file; }\n");
    my $path = $t->dir . "/$file";

    isnt($status, 0, "$file: refused");
    like($said, ref $why ? $why
                         : qr/\[emerg\] .*gray_geoip "\Q$path\E": \Q$why\E in /,
         "$file: says why");
}

my @directives = (
    [ 'gray_geoip;', 'invalid number of arguments in "gray_geoip" directive' ],
    [ 'gray_geoip a b;',
      'invalid number of arguments in "gray_geoip" directive' ],
    [ 'gray_geoip "";', '"gray_geoip" directive has an empty name of a file' ],
    [ 'gray_geoip good.mmdb; gray_geoip ./good.mmdb;', undef ],
    [ 'gray_geoip good.mmdb; gray_geoip more/good.mmdb;', undef ],
    [ 'gray_geoip good.mmdb; gray_geoip good.mmdb;', 'is given twice' ],
    [ 'server { gray_geoip good.mmdb; }',
      '"gray_geoip" directive is not allowed here' ],
    [ join(' ', map { "gray_geoip '${\ ('./' x $_)}good.mmdb';" } 1 .. 17),
      'is one too many, there can be 16' ],
);

for (@directives) {
    my ($text, $why) = @$_;
    my ($status, $said) = $t->test_config("http { $text }\n");

    if (defined $why) {
        isnt($status, 0, "$text: refused");
        like($said, qr/\[emerg\] .*\Q$why\E/, "$text: says why");

    } else {
        is($status, 0, "$text: taken") or diag($said);
    }
}


# without a database, what needs one is refused

my ($status, $said) = $t->test_config(<<'END');
http {
    gray_zone gray 1m;
    gray_release app {
        zone     gray;
        variant  off;
        variant  on;
        match    on geo.country.iso_code = DE;
    }
}
END

isnt($status, 0, 'no gray_geoip: refused');
like($said, qr/needs a database: "gray_geoip FILE"/, 'says what is needed');

$t->done;
