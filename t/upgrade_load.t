#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# Many upgrades of the binary under load, with changes by the API on both
# sides: no request of a fresh connection fails, no change is lost, each old
# nginx goes, and the new one is no larger than the one before.
#
# GRAY_UPGRADES is the number of upgrades; where it is not set, 6.

use strict;
use warnings;

use FindBin;
use List::Util qw(max sum);
use Test::More;

my $upgrades;

BEGIN {
    $upgrades = $ENV{GRAY_UPGRADES} || ($ENV{TEST_SANITIZER_LOG} ? 3 : 6);
    $ENV{TEST_TIME_LIMIT} ||= 240 + $upgrades * 10;
}

use lib "$FindBin::Bin/lib";
use Test::Gray;
use Test::Gray::Process;

plan(skip_all => 'a wrapper is not upgraded') if $ENV{TEST_NGINX_WRAPPER};

# backends are not upgraded

my $backends = Test::Gray->new->config(<<'END')->start;
http {
    keepalive_requests 1000000;
    server { listen 127.0.0.1:%%PORT_v1%%; return 200 v1; }
    server { listen 127.0.0.1:%%PORT_v2%%; return 200 v2; }
}
END

my ($v1, $v2) = map { $backends->port($_) } qw(v1 v2);

my $t = Test::Gray->new(daemon => 'on')->config(<<"END")->start;
worker_processes 2;

http {
    gray_zone gray 1m state=state;

    upstream v1 { server 127.0.0.1:$v1; }
    upstream v2 { server 127.0.0.1:$v2; }

    gray_release app {
        zone    gray;
        hash    \$arg_uid;
        variant stable v1;
        variant canary v2 weight=5%;
    }

    server {
        listen 127.0.0.1:%%PORT%%;
        location /      { proxy_pass http://app; }
        location /gray/ { gray_admin; }
    }
}
END

my $url = 'http://127.0.0.1:' . $t->port . '/?uid=load';

my $wrk = (capture('wrk', '-v'))[1] =~ /^wrk /
    && $t->spawn('wrk', '-t1', '-c4', '-d3600', '--timeout', '20s',
                 '-H', 'Connection: close', $url);

my $client = $t->child(sub {
    my ($count, $failed, $over) = (0, 0, 0);
    my $http = $t->http;

    $SIG{USR1} = sub { $over = 1 };

    until ($over) {
        my $response = $http->get("/?uid=user-$count");

        if ($response->{status} != 200 || $response->{body} !~ /^v[12]$/) {
            warn "$response->{status} $response->{body}\n";
            $failed++;
        }

        $count++;
    }

    $t->write_file('client', "$count $failed\n");
    POSIX::_exit(0);
});


sub memory {
    my ($pid) = @_;

    return slurp("/proc/$pid/status") =~ /^RssAnon:\s+(\d+) kB/m ? $1 : 0;
}


sub descriptors {
    my ($pid) = @_;

    opendir my $dh, "/proc/$pid/fd" or return 0;
    return scalar grep { /^\d/ } readdir $dh;
}


# whichever nginx the connection comes to

my ($revision, $refused) = (1, 0);

sub change {
    my ($weight) = @_;

    my $answer = $t->insist('PATCH', '/gray/releases/app',
                            { variants => { canary => {
                                                weight => $weight } } });

    # a worker of the one that has just begun to end may have closed it

    $refused++ if $answer->{status} != 200
                  || $answer->{json}{revision} != ++$revision;
}


my (%memory, %descriptors, @gone);
my $lost = 0;

for my $round (1 .. $upgrades) {
    my @before = $t->workers;

    change(10 + $_ / 100 + $round % 2) for 1 .. 3;

    my $old = $t->upgrade;

    change(20 + $_ / 100 + $round % 2) for 1 .. 6;

    kill 'QUIT', $old;
    wait_until(sub { !alive($old) }) or die "the old nginx has not ended\n";
    push @gone, @before;

    my @answers = $t->many(100, sub { "/?uid=user-$_[0]" },
                           per_connection => 5);

    # the last change may have been made by the old one

    $lost++ if (grep { $_->{status} != 200 } @answers)
               || !wait_until(sub {
                      my $document = $t->api('GET', '/gray/releases/app');

                      return $document->{json}{revision} == $revision;
                  });

    push @{ $memory{master} }, memory($t->master);
    push @{ $memory{worker} }, max(map { memory($_) } $t->workers);
    push @{ $descriptors{master} }, descriptors($t->master);
}

is($refused, 0, "$upgrades upgrades, and " . 9 * $upgrades . ' changes');
is($lost, 0, 'all of them are in force');

kill 'USR1', $client;
ok(wait_until(sub { -s $t->dir . '/client' }), 'the client has ended');
$t->reap($client);

my ($count, $failed) = split ' ', $t->read_file('client');

cmp_ok($count, '>', $upgrades, "the client has sent $count requests");
is($failed, 0, 'no request of a fresh connection has failed');

SKIP: {
    skip('no wrk', 2) unless $wrk;

    $t->reap($wrk, 'INT');

    my $said = $t->read_file("stderr.$wrk");

    like($said, qr/^\s*\d+ requests in/m, 'the load was there');
    unlike($said, qr/Socket errors|Non-2xx/, 'none of the load has failed');
}

is(scalar(grep { !wait_until(sub { !alive($_) }) } @gone), 0,
   'old workers are gone');

for my $who ($ENV{TEST_SANITIZER_LOG} ? () : sort keys %memory) {
    my @kb = @{ $memory{$who} };
    my $third = int(@kb / 3) || 1;
    my ($first, $last) = map { int(sum(@$_) / @$_) }
                         [ @kb[0 .. $third - 1] ], [ @kb[-$third .. -1] ];

    note("memory of the $who: $first kB, then $last kB");
    cmp_ok($last - $first, '<', 256, "memory of the $who is flat");
}

note("descriptors of the master: @{ $descriptors{master} }");
is($descriptors{master}[-1], $descriptors{master}[1],
   'descriptors of the master');

$t->done;
