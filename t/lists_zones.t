#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# The state directory of a zone in the configuration; lists of several zones,
# and of none.

use strict;
use warnings;

use FindBin;
use Test::More;

use lib "$FindBin::Bin/lib";
use Test::Gray;

my $t = Test::Gray->new;


sub text {
    my (@zones) = @_;

    my $zones = join '', map { "    gray_zone $_;\n" } @zones;

    return <<"END";
http {
$zones
    server {
        listen 127.0.0.1:%%PORT%%;
        location /gray/ { gray_admin; }
    }
}
END
}


# a zone that has room for a release, but maybe not for lists

sub small {
    my ($size) = @_;

    return "z $size document=1k state=s;\n"
           . join('', map { "gray_release r$_ { zone z; variant a;"
                            . " variant b weight=5%; }\n" } 1 .. 3)
           . 'gray_zone other 1m';
}


sub list {
    my ($method, $path, $body) = @_;

    return $t->api($method, "/gray/lists$path", $body,
                   defined $body ? ('Content-Type' => 'text/plain') : ());
}


# -- refused: zones, message

for ([ [ 'z 1m state=' ], qr/invalid state directory of gray_zone "z"/ ],
     [ [ 'z 1m state=a state=b' ], qr/duplicate parameter "state=b"/ ],
     [ [ 'z 1m stat=a' ], qr/must be document=SIZE, state=DIR, history=N or/ ],
     [ [ 'y 1m state=a', 'z 1m state=a/' ], qr/the same path name/ ],
     [ [ 'z 1m state=' . 'x' x 1025 ], qr/must be a path of 1 to 1024 bytes/ ],
     [ [ small('32k') ], qr/"z" is too small, it needs \d+k/ ])
{
    my ($zones, $message) = @$_;
    my ($status, $said) = $t->test_config(text(@$zones));

    is($status, 1, "$message");
    like($said, $message, 'message');
}

my (undef, $said) = $t->test_config(text(small('32k')));
my ($needed) = $said =~ /needs (\d+k)/;

is(($t->test_config(text(small($needed))))[0], 0, 'the size it names');


# -- a directory that cannot be made, one that is a file

$t->write_file('file', '');

for my $state ('no/such/place', 'file') {
    my ($status) = $t->test_config(text("z 1m state=$state"));

    is($status, $state eq 'file' ? 0 : 1, "state=$state");
}


# -- several zones

$t->config(text('one 1m state=s1', 'two 1m state=' . $t->dir . '/s2/',
                'three 1m'))->start;

ok(-d $t->dir . "/$_", "$_ was made") for qw(s1 s2);

my $answer = list('PUT', '/vip', "a\n");

is($answer->{status}, 400, 'which zone?');
is($answer->{json}{detail}, 'the argument "zone" must be one of one, two',
   'detail');

is(list('PUT', '/vip?zone=one', "a\n")->{status}, 201, 'that one');
is(list('PUT', '/vip?zone=two&dry_run=0', "b\n")->{status}, 201, 'the other');
is(list('GET', '/vip?zone=one')->{body}, "a\n", 'one is one');
is(list('GET', '/vip?zone=two')->{body}, "b\n", 'the other another');
is(list('GET', '/vip?zone=three')->{status}, 400, 'a zone without state');
is(list('GET', '/vip')->{status}, 400, 'none that is named');

is_deeply([ map { "$_->{zone} $_->{list}" }
            @{ list('GET', '')->{json}{lists} } ],
          [ 'one vip', 'two vip' ], 'all');
is_deeply([ map { $_->{zone} } @{ list('GET', '?zone=two')->{json}{lists} } ],
          [ 'two' ], 'all of one');

ok(-e $t->dir . "/$_/vip.list", "file in $_") for qw(s1 s2);


# -- the directory of a zone can not be changed alone

$t->config(text('one 1m state=s3', 'two 1m state=s2'));
ok($t->reload(refused => qr/previously it had/), 'another directory');

$t->config(text('one 2m state=s3', 'two 1m state=s2'));
$t->reload(gone => 1);
is(list('GET', '/vip?zone=one')->{status}, 404, 'with another size');
is(list('GET', '/vip?zone=two')->{body}, "b\n", 'the other stays');

# taken out and put in

$t->config(text('one 2m', 'two 1m state=s2'));
$t->reload(gone => 1);
is(list('GET', '/vip')->{body}, "b\n", 'the only one needs no name');

$t->config(text('one 2m state=s1', 'two 1m'));
$t->reload(gone => 1);
is(list('GET', '/vip')->{body}, "a\n", 'a directory that was there before');


# -- none

$t->config(text('one 1m', 'two 1m'));
$t->reload(gone => 1);

for ([ 'GET', '/vip' ], [ 'PUT', '/vip', "a\n" ], [ 'DELETE', '/vip' ],
     [ 'GET', '' ])
{
    my $answer = list(@$_);

    is($answer->{status}, 409, "$_->[0] without state");
    like($answer->{json}{detail}, qr/need "state=DIR" of gray_zone/, 'detail');
}

$t->done;
