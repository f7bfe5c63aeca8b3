#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# gray_metrics under load: nothing that is counted gets lost or goes back while
# many scrape; a hundred that do not read, or a byte at a time, or are gone in
# the middle, hurt nobody, get what there was when they asked, and their memory
# comes back.

use strict;
use warnings;

use FindBin;
use IO::Socket::INET;
use Socket qw(SOL_SOCKET SO_LINGER SO_RCVBUF);
use Test::More;

use lib "$FindBin::Bin/lib";
use Test::Gray;
use Test::Gray::Exposition;
use Test::Gray::Process;

# is what a process has, what it was given?

my $own = !$ENV{TEST_NGINX_WRAPPER} && !$ENV{TEST_SANITIZER_LOG};

my $scrapers = 100;
my $releases = 20;

my $t = Test::Gray->new(level => 'notice');

my $all = join '', map { <<"END" } 1 .. $releases;
    gray_release r$_ {
        zone     gray;
        hash     \$arg_u;
        variant  stable v1;
        variant  canary v1 weight=40%;
        variant  second v1 weight=20%;
    }

END

# the text does not fit in the buffers of a connection

$t->config(<<"END")->start;
worker_processes 2;

http {
    gray_zone gray 16m;
    variables_hash_max_size 4096;

    upstream v1 { server 127.0.0.1:%%PORT_v1%%; keepalive 16; }

$all
    server {
        listen 127.0.0.1:%%PORT_v1%%;
        return 200 v1;
    }

    server {
        listen        127.0.0.1:%%PORT%% sndbuf=16k reuseport;
        send_timeout  600s;

        location = /metrics { gray_metrics; }
        location = /pid     { return 200 \$pid; }

        location ~ ^/(r[0-9]+)\$ {
            proxy_http_version  1.1;
            proxy_set_header    Connection "";
            proxy_pass          http://\$1;
        }
    }
}
END

my $sent = 0;


# requests, of which each has its answer

sub traffic {
    my ($n) = @_;

    my @answers = $t->many($n, sub {
        return '/r' . (1 + $_[0] % $releases) . "?u=$_[0]";
    });

    $sent += $n;

    return scalar grep { $_->{status} == 200 && $_->{body} eq 'v1' } @answers;
}


sub metrics { return scrape($t, '/metrics', @_) }


sub requests { return total($_[0], 'nginx_gray_requests_total') }


# what has become less, of all that only grows

sub less {
    my ($before, $after) = @_;
    my @less;

    for my $name (grep { /(?:_total|_bucket|_count|_sum)\z/ } keys %$before) {
        for (keys %{ $before->{$name} }) {
            my $now = $after->{$name}{$_};

            push @less, "$name $_"
                unless defined $now && $now >= $before->{$name}{$_};
        }
    }

    return @less;
}


# KB of the workers

sub private {
    my $sum = 0;

    for ($t->workers) {
        $sum += $1 if slurp("/proc/$_/status") =~ /^RssAnon:\s+(\d+) kB/m;
    }

    return $sum;
}


# a scrape that is asked for, and not read

sub ask {
    my $socket = IO::Socket::INET->new(Proto => 'tcp') or die "socket: $!\n";

    setsockopt $socket, SOL_SOCKET, SO_RCVBUF, 4096;
    $socket->connect(Socket::pack_sockaddr_in($t->port,
                                              Socket::INADDR_LOOPBACK()))
        or die "connect: $!\n";

    syswrite $socket, "GET /metrics HTTP/1.1\r\nHost: localhost\r\n"
                      . "Connection: close\r\n\r\n";

    return { socket => $socket, text => '' };
}


sub take {
    my ($scraper, $bytes) = @_;

    while ($bytes > 0) {
        my $n = sysread $scraper->{socket}, $scraper->{text},
                        $bytes > 65536 ? 65536 : $bytes,
                        length $scraper->{text};
        return 0 unless $n;
        $bytes -= $n;
    }

    return 1;
}


# the rest: the text, or why it is none

sub finished {
    my ($scraper) = @_;

    1 while take($scraper, 65536);

    my ($head, $body) = split /\r\n\r\n/, $scraper->{text}, 2;

    return "status $head\n" unless $head =~ m{^HTTP/1\.1 200 };

    my ($length) = $head =~ /^Content-Length: (\d+)/mi;

    return length $body == $length ? $body : "cut off\n";
}


# each worker has begun to answer once bytes of all of them are there

sub begun {
    my (@scrapers) = @_;

    return scalar grep { take($_, 100) } @scrapers;
}


# -- nothing is lost, and nothing goes back

my $first = metrics();

is(requests($first), 0, 'nothing was counted yet');

# two processes that have their own connections go on while this one scrapes;
# each says how many requests it has sent

my $enough = $t->dir . '/enough';

my @clients = map {
    my $client = $_;

    $t->child(sub {
        my ($n, $failed) = (0, 0);

        until (-e $enough) {
            my @answers = $t->many(500, sub {
                return '/r' . (1 + ($_[0] + $client) % $releases) . "?u=$_[0]";
            });

            $n += @answers;
            $failed += grep { $_->{status} != 200 } @answers;
        }

        $t->write_file("sent.$client", $n);
        exit($failed ? 1 : 0);
    });
} 1 .. 2;

my ($last, $n, @less, %values) = ($first, 0);


sub look {
    my $m = metrics(++$n % 2 ? () : (Accept => accept_openmetrics()));

    push @less, less($last, $m);
    $values{ requests($m) } = 1;
    $last = $m;

    return requests($m);
}


ok(wait_until(sub { look(); return keys %values > 10 }), 'counters move');
$t->write_file('enough', '');

for my $pid (@clients) {
    wait_until(sub { !alive($pid) });
    is($t->reap($pid), 0, 'a client got all its answers');
}

$sent += $t->read_file("sent.$_") for 1 .. 2;

ok(wait_until(sub { look() >= $sent }), "all are counted, in $n scrapes");
is(requests($last), $sent, 'and none twice');
is_deeply(\@less, [], 'and no counter was ever less than before');
is(total($last, 'nginx_gray_request_duration_seconds_count'), $sent,
   'no time is lost');


# -- a hundred that do not read

my $quiet = private();
my $before = metrics();

my @scrapers = map { ask() } 1 .. $scrapers;

is(begun(@scrapers), $scrapers, "$scrapers scrapers are served");

my $held = private();

cmp_ok($held - $quiet, '>', $scrapers * 100,
       'they have their texts in memory');
is(traffic(400), 400, 'requests go on');
ok(wait_until(sub { requests(metrics()) == $sent }), 'and are counted');

my $after = metrics();

is_deeply([ less($before, $after) ], [], 'nothing is less');

# they get what there was when they asked

my %seen;
$seen{ finished($_) }++ for @scrapers;

is_deeply([ values %seen ], [ $scrapers ], 'all have the same text');
is_deeply(eval { exposition((keys %seen)[0]) } || $@, $before,
          'which is whole, and of when they asked');
close $_->{socket} for @scrapers;

sub returns {
    my ($name) = @_;
    my $left;

    SKIP: {
        skip 'memory is not that of nginx', 1 unless $own;

        ok(wait_until(sub {
            $left = private();
            return $left < $quiet + ($held - $quiet) / 4;
        }), $name) or diag("$left KB are left");
    }

    return;
}


returns("memory returns, $quiet KB, $held KB with texts");


# -- who is gone in the middle

for my $round (1 .. 3) {
    my @gone = map { ask() } 1 .. $scrapers;

    begun(@gone);

    # a reset, not an end

    for (@gone) {
        setsockopt $_->{socket}, SOL_SOCKET, SO_LINGER, pack 'ii', 1, 0;
        close $_->{socket};
    }

    is(traffic(40), 40, "round $round, requests go on");
}

ok(wait_until(sub { requests(metrics()) == $sent }), 'and are counted');

returns('memory of those who are gone returns');


# -- a byte at a time

my $slow = ask();
my $is = requests(metrics());

for (1 .. 200) {
    take($slow, 1) or last;
    traffic(1) == 1 or last;
}

is(length $slow->{text}, 200, 'a slow one has 200 bytes');
ok(wait_until(sub { requests(metrics()) == $is + 200 }),
   'others have 200 requests meanwhile');

# also over a reload: an old worker stays for it

ok($t->reload, 'reload');
take($slow, 200);

is(eval { requests(exposition(finished($slow))) } || $@, $is,
   'it gets the rest of what there was');
ok(wait_until(sub { requests(metrics()) == $sent }), 'all were counted');

$t->done;
