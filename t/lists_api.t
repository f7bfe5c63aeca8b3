#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# Named lists by the admin API: what goes in comes back, conditions, dry runs,
# and what is refused.

use strict;
use warnings;

use FindBin;
use Test::More;

use lib "$FindBin::Bin/lib";
use Test::Gray;
use Test::Gray::Process;

my $t = Test::Gray->new->config(<<'END')->start;
worker_processes 2;

http {
    gray_zone gray 1m state=%%DIR%%/state;

    gray_release app { zone gray; variant off; variant on weight=0%; }

    server {
        listen 127.0.0.1:%%PORT%%;

        location /gray/   { gray_admin; client_max_body_size 30m; }
        location /small/  { gray_admin; client_body_buffer_size 1k; }
        location /file/   { gray_admin; client_body_in_file_only clean; }
        location /single/ { gray_admin; client_body_in_single_buffer on; }
        location /read/   { gray_admin readonly; }
        location /tiny/   { gray_admin; client_max_body_size 100; }
    }
}
END


sub list {
    my ($method, $path, $body, @headers) = @_;

    @headers = ('Content-Type' => 'text/plain', @headers)
        if $method eq 'PUT';

    my $answer = $t->request($method, $path =~ m{^/} ? $path
                                                     : "/gray/lists/$path",
                             \@headers, $body);

    $answer->{json} = eval { JSON::PP::decode_json($answer->{body}) };
    return $answer;
}


sub entries { return list('GET', $_[0])->{body} }


# -- a list as it is changed

my $answer = list('GET', '/gray/lists');

is_deeply($answer->{json}, { lists => [] }, 'none');

$answer = list('PUT', 'vip', "bob\r\n  alice \n\nbob\n");

is($answer->{status}, 201, 'a new list');
is($answer->{headers}{etag}, '"1"', 'its ETag');
is($answer->{json}{$_->[0]}, $_->[1], "its $_->[0]")
    for [ list => 'vip' ], [ revision => 1 ], [ entries => 2 ],
        [ duplicates => 1 ], [ bytes => 10 ], [ networks => 0 ];

$answer = list('GET', 'vip');

is($answer->{status}, 200, 'GET');
is($answer->{body}, "bob\nalice\n", 'its entries');
is($answer->{headers}{etag}, '"1"', 'the same ETag');
is($answer->{headers}{'content-type'}, 'text/plain; charset=utf-8', 'type');
is($answer->{headers}{'content-length'}, 10, 'length');

my $head = list('HEAD', 'vip');

is($head->{body}, '', 'HEAD');
delete $_->{headers}{date} for $answer, $head;
is_deeply($head->{headers}, $answer->{headers}, 'its headers');

is(list('GET', 'vip', undef, 'If-None-Match' => '"1"')->{status}, 304,
   'that revision');
is(list('GET', 'vip', undef, 'If-None-Match' => '"2"')->{status}, 200,
   'another one');
is(list('GET', 'vip', undef, 'If-Match' => '"2"')->{status}, 412, 'GET, 412');

$answer = list('PUT', 'vip', "bob\nalice");

is($answer->{status}, 200, 'the same again');
is($answer->{json}{revision}, 1, 'makes no revision');

is(list('PUT', 'vip?dry_run=1', "bob\nalice")->{json}{revision}, 1,
   'a dry run of it, neither');

$answer = list('PUT', 'vip?dry_run=1', "carol\n");

is($answer->{status}, 200, 'dry run');
is($answer->{json}{revision}, 2, 'its revision');
is($answer->{headers}{'x-gray-dry-run'}, 1, 'its header');
is($answer->{headers}{etag}, undef, 'no ETag');
is(entries('vip'), "bob\nalice\n", 'changes nothing');

is(list('PUT', 'new?dry_run=1', "carol\n")->{status}, 201, 'dry run, new');
is(list('GET', 'new')->{status}, 404, 'it is not there');
is(list('PUT', 'new?dry_run=1', "\0")->{status}, 422, 'dry run, invalid');

# conditions: headers, status

for ([ 'If-Match' => '"2"', 412 ], [ 'If-Match' => 'W/"1"', 412 ],
     [ 'If-None-Match' => '*', 412 ], [ 'If-None-Match' => '"1"', 412 ],
     [ 'If-Match' => '"1"', 200 ], [ 'If-Match' => '*', 200 ],
     [ 'If-None-Match' => '"1"', 200 ])
{
    my ($name, $value, $status) = @$_;

    is(list('PUT', 'vip', "$name $value\n", $name => $value)->{status},
       $status, "$name: $value");
}

is(list('GET', 'vip')->{headers}{etag}, '"4"', 'so many revisions');

is(list('PUT', 'none', "a\n", 'If-Match' => '*')->{status}, 412,
   'If-Match, where there is none');
is(list('PUT', 'once', "a\n", 'If-None-Match' => '*')->{status}, 201,
   'If-None-Match, where there is none');

is(list('DELETE', 'vip', undef, 'If-Match' => '"1"')->{status}, 412,
   'DELETE, 412');

$answer = list('DELETE', 'vip?dry_run=1');
is($answer->{json}{revision}, 5, 'DELETE, dry run');
is(entries('vip'), "If-None-Match \"1\"\n", 'changes nothing');

$answer = list('DELETE', 'vip');

is($answer->{status}, 200, 'DELETE');
is_deeply($answer->{json},
          { list => 'vip', revision => 5, deleted => JSON::PP::true },
          'what it says');

for (list('GET', 'vip'), list('DELETE', 'vip'), list('HEAD', 'vip')) {
    is($_->{status}, 404, 'it is no more');
    is($_->{json}{detail}, 'no list "vip"; there are once', 'detail')
        if $_->{json};
}

is(list('PUT', 'vip', "a\n")->{json}{revision}, 6, 'no revision comes twice');


# -- the index, and /status

list('PUT', 'office', "10.0.0.0/8\n::1\n");
list('PUT', 'empty', '');

my %lists = map { $_->{list} => $_ }
            @{ list('GET', '/gray/lists')->{json}{lists} };

is_deeply([ sort keys %lists ], [ qw(empty office once vip) ], 'index');
is_deeply([ map { "$lists{$_}{entries} $lists{$_}{bytes} "
                  . ($lists{$_}{networks} ? 'networks' : 'texts') }
            sort keys %lists ],
          [ '0 0 networks', '2 15 networks', '1 2 texts', '1 2 texts' ],
          'what it says of each');
is($lists{office}{zone}, 'gray', 'and the zone');

my ($zone) = @{ list('GET', '/gray/status')->{json}{zones} };

is($zone->{state}, $t->dir . '/state', 'status: the directory');
is("$zone->{lists} $zone->{list_entries}", '4 4', 'status: the lists');
is($zone->{list_bytes}, -s $t->dir . '/state/office.list',
   'status: their size')
    if !grep { $zone->{list_bytes} -= -s $t->dir . "/state/$_.list"; 0 }
             qw(empty once vip);

is(list('GET', 'empty')->{status}, 200, 'an empty list');
is(entries('empty'), '', 'is empty');


# -- however the body comes

my $big = join '', map { sprintf "%016x\n", $_ } 1 .. 20000;

for my $location (qw(gray small file single)) {
    my $path = "/$location/lists/in_$location";
    my @pieces = unpack '(a7777)*', $big;

    is(list('PUT', $path, $big)->{json}{entries}, 20000, "$location, at once");
    is(entries($path), $big, "$location, comes back");
    is(list('PUT', $path, [ "x\n", @pieces ])->{json}{entries}, 20001,
       "$location, in chunks");
    is(entries($path), "x\n$big", "$location, comes back");
    is(list('PUT', $path, '')->{json}{entries}, 0, "$location, nothing");
    is(list('PUT', $path, [ 'a', "b\n" ])->{json}{bytes}, 3,
       "$location, little chunks");
    list('DELETE', $path);
}


# -- refused: path, body, headers, status, what the detail must say

my $long = 'x' x 10_000_000;

my @refused = (
    [ 'bad', "a\nb\xff\n", [], 422, 'line 2 is not UTF-8 at byte 2' ],
    [ 'bad', "a\n\xff\n\0\n", [], 422,
      'line 3 has the control character 0x00 at byte 1' ],
    [ 'bad', 'x' x 1025, [], 422, 'line 1 has 1025 bytes' ],
    [ 'bad', "a\n$long\nb\n", [], 422, 'line 2 has 10000000 bytes' ],
    [ 'Bad', "a\n", [], 400, 'invalid name of a list' ],
    [ 'a-b', "a\n", [], 400, 'invalid name of a list' ],
    [ 'x' x 64, "a\n", [], 400, 'at most 63' ],
    [ 'bad', "a\n", [ 'Content-Type' => 'application/json' ], 415,
      "must be text/plain; use curl --data-binary \@FILE "
      . "-H 'Content-Type: text/plain'" ],
    [ 'bad', "a\n", [ 'Content-Type' => undef ], 415, 'text/plain' ],
    [ 'bad?x=1', "a\n", [], 400, 'unknown argument "x"; there is dry_run' ],
    [ 'bad?dry_run=2', "a\n", [], 400, 'must be 0 or 1' ],
    [ 'bad?zone=x', "a\n", [], 400, 'must be one of gray' ],
    [ '/read/lists/bad', "a\n", [], 403, 'gray_admin readonly' ],
);

for (@refused) {
    my ($path, $body, $headers, $status, $detail) = @$_;
    my $name = substr "$path, $detail", 0, 70;

    my %headers = ('Content-Type' => 'text/plain', @$headers);
    my $answer = $t->request('PUT', $path =~ m{^/} ? $path
                                                   : "/gray/lists/$path",
                             [ %headers ], $body);

    is($answer->{status}, $status, $name);

    my $json = JSON::PP::decode_json($answer->{body});
    my $said = join "\n", $json->{detail} || '',
                    map { $_->{detail} } @{ $json->{errors} || [] };

    like($said, qr/\Q$detail\E/, "$name: detail");
}

is(list('GET', 'bad')->{status}, 404, 'nothing came of it');
is(list('PUT', '/gray/lists/x/y', "a\n")->{status}, 404, 'a path too long');
is(list('PUT', '/gray/lists', "a\n")->{status}, 405, 'no name');
is(list('POST', '/gray/lists/x', "a\n")->{headers}{allow},
   'GET, HEAD, PUT, DELETE', 'another method');
is(list('DELETE', 'vip', 'a body')->{status}, 400, 'DELETE with a body');
is(list('DELETE', 'Vip')->{status}, 404, 'DELETE of what is no name');

my @faults = @{ list('PUT', 'bad', "\1\n" x 100)->{json}{errors} };

is(scalar(@faults), 20, 'of many faults 20 are named');

for ([ 'length', "a\n" x 51 ], [ 'chunks', [ ("a\n") x 51 ] ],
     [ 'far too large', 'x' x 5_000_000 ])
{
    my ($how, $body) = @$_;
    my $answer = list('PUT', '/tiny/lists/bad', $body);

    is($answer->{status}, 413, "client_max_body_size, $how");
    like($answer->{json}{detail}, qr/"client_max_body_size".* 100 bytes/,
         "$how: detail");
}


# -- only so many

is(list('PUT', "l$_", "a\n")->{status}, 201, "list $_")
    for keys(%lists) + 5 .. 64;

$answer = list('PUT', 'one_more', "a\n");

is($answer->{status}, 409, 'one too many');
like($answer->{json}{detail}, qr/at most 64 lists/, 'detail');
is(list('PUT', 'vip', "b\n")->{status}, 200, 'the others can be changed');

is_deeply([ grep { !/^(?:\.(?:lists\.)?lock|\w+\.(?:list|jsonl))$/ }
            map { s{.*/}{}r } glob $t->dir . '/state/{*,.[!.]*}' ], [],
          'no temporary file is left');

$t->done;
