#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# A list of many ids is put by curl while wrk runs: nobody notices, and what
# is answered is in force.  Then the same with a list that differs in one id.
#
# 100,000 ids; with LONG=1 there are 1,000,000, and the limits are those that
# are promised for them: 2 seconds, 40 MB, 100 KB of private memory for each
# worker, and no request later by more than 10 ms than without.  The delays
# are measured by clients that send a request a millisecond, each one alone
# (wrk keeps the workers busy): what wrk says itself is printed.

use strict;
use warnings;

use FindBin;
use List::Util qw(max);
use Test::More;
use Time::HiRes qw(time);

my $long;

BEGIN {
    $long = $ENV{LONG};
    $ENV{TEST_TIME_LIMIT} ||= 600;
}

use lib "$FindBin::Bin/lib";
use Test::Gray;
use Test::Gray::Process;

my $curl = (capture('curl', '--version'))[0] == 0;
my $wrk = (capture('wrk', '-v'))[1] =~ /^wrk /;

plan(skip_all => 'no curl, or no wrk') unless $curl && $wrk;
plan(skip_all => 'nginx is slow')
    if $ENV{TEST_NGINX_WRAPPER} || $ENV{TEST_SANITIZER_LOG};

my $count = $long ? 1_000_000 : 100_000;
my $rounds = $long ? 5 : 1;

my $t = Test::Gray->new(level => 'notice')->config(<<'END')->start;
worker_processes 2;

http {
    gray_zone gray 1m state=state;
    keepalive_requests 100000000;

    gray_release app {
        zone     gray;
        hash     $arg_uid;
        variant  off;
        variant  on weight=0%;
    }

    server {
        listen 127.0.0.1:%%PORT%%;

        location = /on  { return 200 "$gray_app"; }
        location /gray/ {
            gray_admin;
            client_max_body_size 32m;
        }
    }
}
END

my $port = $t->port;
my $url = "http://127.0.0.1:$port";


# an id of 16 characters; nobody has those of another list

sub id { return sprintf '%s%015x', $_[1] || 'u', $_[0] }


sub write_list {
    my ($name, @more) = @_;

    return $t->write_file($name, join '', map { "$_\n" }
                          (map { id($_) } 1 .. $count - @more), @more);
}


# by curl; the time that it took, and what was said

sub put {
    my ($file) = @_;

    my $start = time;
    my (undef, $said) = capture('curl', '-sS', '-X', 'PUT', '-w',
                                '\n%{http_code}', '-H',
                                'Content-Type: text/plain', '--data-binary',
                                "\@$file", "$url/gray/lists/vip");
    my ($status) = $said =~ /(\d+)\z/;

    return (time - $start, $status, $said);
}


# asks all workers by new connections, and by those that there were before

my @old = map { $t->http->connect } 1 .. 20;

sub decided {
    my (@uids) = @_;

    my %said;

    for my $uid (@uids) {
        $said{$uid} = {};

        for ($t->http->many(40, sub { "/on?uid=$uid" }, per_connection => 2)) {
            $said{$uid}{$_->{body}}++;
        }

        for (@old) {
            $_->send("GET /on?uid=$uid HTTP/1.1\r\nHost: localhost\r\n\r\n");
            $said{$uid}{$_->receive->{body}}++;
        }
    }

    return join ' ', map { join '|', sort keys %{ $said{$_} } } @uids;
}


# the longest delay of a request of wrk, in ms, while the code runs, how many
# requests there were in a second, and what the code returned

sub load {
    my ($code) = @_;

    my $load = $t->spawn('wrk', '-t1', '-c8', '-d600', '--latency',
                         '--timeout', '20s',
                         "$url/on?uid=x");
    my @result = $code->();

    kill 'INT', $load;
    wait_until(sub { $t->read_file("stderr.$load") =~ /Transfer/ });
    $t->reap($load, 'INT');

    my $said = $t->read_file("stderr.$load");
    my %ms = (us => 0.001, ms => 1, s => 1000);

    unlike($said, qr/Socket errors|Non-2xx/, 'no request of wrk has failed');

    my ($longest, $unit) =
        $said =~ /^\s*Latency\s+\S+\s+\S+\s+([\d.]+)(us|ms|s)\b/m;
    my ($rate) = $said =~ m{^Requests/sec:\s+(\S+)}m;

    return ($longest * $ms{$unit}, $rate, @result);
}


# kilobytes of private memory of each worker, but for what is of a file

sub private {
    return map {
        my $text = slurp("/proc/$_/smaps_rollup");
        $text =~ /^Private_Dirty:\s+(\d+) kB/m ? $1 : 0;
    } $t->workers;
}


write_list('first', id(1, 'y'));
write_list('second', id(2, 'y'));

my ($first, $second) = map { $t->dir . "/$_" } qw(first second);

# a list that is there before the document that uses it

is($t->api('PUT', '/gray/lists/vip', 'nobody',
           'Content-Type' => 'text/plain')->{status}, 201, 'a list');

my $document = $t->api('GET', '/gray/releases/app')->{json};
$document->{rules} = [ { name => 'vip', variant => 'on',
                         when => { '$arg_uid' => { in_list => 'vip' } } } ];

my $answer = $t->api('PUT', '/gray/releases/app', $document);
is($answer->{status}, 200, 'a document that uses it')
    or diag($answer->{body});

is(decided(id(1), id(1, 'y'), id(2, 'y'), 'nobody'), 'off off off on',
   'as it is before');

my @before = private();

# how long requests take without: a second or two, as a PUT takes with what
# curl does before

my $quiet = 0;

for (1 .. $rounds) {
    my $end = time + 1;
    my ($longest, $rate) = load(sub { wait_until(sub { time > $end }, 2) });

    note("without: longest $longest ms; $rate requests a second");
    $quiet = max($quiet, $longest);
}

my %longest;

for my $round (1 .. $rounds) {
    for ([ first => $first, 'on on off off' ],
         [ second => $second, 'on off on off' ])
    {
        my ($name, $file, $expected) = @$_;

        my ($longest, $rate, $took, $status, $body) =
            load(sub { return put($file) });

        like($status, qr/^200$/, "the $name list") or diag($body);
        is(decided(id(1), id(1, 'y'), id(2, 'y'), 'nobody'), $expected,
           'decisions right behind the answer');

        note(sprintf '%s list: %.2f s; longest %s ms; %s requests a second',
             $name, $took, $longest, $rate);

        next unless $long;

        cmp_ok($took, '<', 2, 'it takes less than 2 s');
        push @{ $longest{$name} }, $longest;
    }
}

# other programs of the machine delay a request now and then, with or without

for my $name (sort keys %longest) {
    my @sorted = sort { $a <=> $b } @{ $longest{$name} };

    cmp_ok($sorted[$rounds / 2], '<', $quiet + 10,
           "the $name list: no request is later by 10 ms than without, in "
           . 'half of the rounds at least');
}

my @after = private();
my @more = map { $after[$_] - $before[$_] } 0 .. $#after;
my $size = -s $t->dir . '/state/vip.list';

note("private memory of workers, before: @before kB, after: @after kB");
note("file: $size bytes");

cmp_ok(max(@more), '<=', 100, 'at most 100 KB of private memory more');
cmp_ok($size, '<=', 40 * $count, 'at most 40 bytes an id');

$t->done;
