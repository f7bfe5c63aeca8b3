#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# The admin API: If-None-Match, and If-Match beside it, of what changes a
# document.

use strict;
use warnings;

use FindBin;
use Test::More;

use lib "$FindBin::Bin/lib";
use Test::Gray;


my $t = Test::Gray->new->config(<<'END')->start;
http {
    gray_zone  gray 1m;

    gray_release app {
        zone     gray;
        hash     $cookie_uid;
        variant  off;
        variant  on weight=5%;
    }

    server {
        listen  127.0.0.1:%%PORT%%;
        location /gray/ { gray_admin; }
    }
}
END

my $app = '/gray/releases/app';
my $weight = 10;


# a change by that method

sub change {
    my ($method, $path, @headers) = @_;

    my $change = { variants => { on => { weight => ++$weight / 2 } } };
    my $document = { %{ $t->api('GET', $app)->{json} } };

    $document->{variants}{on}{weight} = $weight / 2;

    return $t->api($method, $path, $method eq 'PATCH' ? $change
                                   : $method eq 'PUT' ? $document : undef,
                   @headers);
}


sub revision { return $t->api('GET', $app)->{json}{revision} }


# headers; status.  The current revision is 2

my @conditions = (
    [ [ 'If-None-Match' => '*' ], 412 ],
    [ [ 'If-None-Match' => '"2"' ], 412 ],
    [ [ 'If-None-Match' => 'W/"2"' ], 412 ],
    [ [ 'If-None-Match' => '"7", "2"' ], 412 ],
    [ [ 'If-None-Match' => '"2"', 'If-Match' => '"2"' ], 412 ],
    [ [ 'If-None-Match' => '"1"', 'If-Match' => '"1"' ], 412, 'If-Match' ],
    [ [ 'If-None-Match' => '"1"' ], 200 ],
    [ [ 'If-None-Match' => '"12"' ], 200 ],
    [ [ 'If-None-Match' => '2' ], 200 ],
    [ [ 'If-None-Match' => '' ], 200 ],
    [ [ 'If-None-Match' => '"1"', 'If-Match' => '"2"' ], 200 ],
    [ [ 'If-None-Match' => '"1"', 'If-Match' => '*' ], 200 ],
);

is(change('PATCH', $app)->{headers}{etag}, '"2"', 'the current one');

my $before = $t->api('GET', $app)->{json};

for (@conditions) {
    my ($headers, $status, $header) = @$_;
    my $detail = $header
        ? 'If-Match names another revision than the current one, 2'
        : 'If-None-Match names the current revision, 2, or "*": there is one';

    for my $method (qw(PUT PATCH DELETE)) {
        for my $path ($status == 200 ? () : $app, "$app?dry_run=1") {
            my $name = "$method $path, @$headers";
            my $response = change($method, $path, @$headers);

            is($response->{status}, $status, $name);
            is_deeply($response->{json},
                      { title => 'Precondition Failed', status => 412,
                        detail => $detail }, "$name: why")
                if $status == 412;
        }
    }
}

is_deeply($t->api('GET', $app)->{json}, $before, 'nothing was changed');


# what is accepted is a change, and another revision is the current one then

for my $method (qw(PUT PATCH DELETE)) {
    my $revision = revision();
    my $other = $revision + 1;

    is(change($method, $app, 'If-None-Match' => "\"$other\"")->{status}, 200,
       "$method: the tag of another one");
    is(revision(), $other, "$method: a revision");
    is(change($method, $app, 'If-None-Match' => "\"$other\"")->{status}, 412,
       "$method: that is the current one now");
}


# a condition comes before what is wrong with the body, or changes nothing

for ([ PUT => {} ], [ PATCH => { enabled => 7 } ], [ PATCH => {} ],
     [ DELETE => undef ])
{
    my ($method, $data) = @$_;

    is($t->api($method, $app, $data, 'If-None-Match' => '*')->{status}, 412,
       "$method " . JSON::PP->new->allow_nonref->encode($data));
}

$t->done;
