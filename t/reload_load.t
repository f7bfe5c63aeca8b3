#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# Many reloads under load, with changes by the API, and with configurations
# that are tested or refused in between: no request of a fresh connection
# fails, old workers go, and neither memory nor descriptors grow.
#
# GRAY_RELOADS is the number of reloads; where it is not set, 200, or a few
# where nginx is slow.

use strict;
use warnings;

use FindBin;
use List::Util qw(sum);
use Test::More;

my $reloads;

BEGIN {
    $reloads = $ENV{GRAY_RELOADS} || ($ENV{TEST_NGINX_WRAPPER} ? 4
                                      : $ENV{TEST_SANITIZER_LOG} ? 8 : 200);
    $ENV{TEST_TIME_LIMIT} ||= 240 + $reloads * 3;
}

use lib "$FindBin::Bin/lib";
use Test::Gray;
use Test::Gray::Process;

# backends are not reloaded

my $backends = Test::Gray->new->config(<<'END')->start;
http {
    keepalive_requests 1000000;
    server { listen 127.0.0.1:%%PORT_v1%%; return 200 v1; }
    server { listen 127.0.0.1:%%PORT_v2%%; return 200 v2; }
}
END

my ($v1, $v2) = map { $backends->port($_) } qw(v1 v2);


sub text {
    my ($canary, $more) = @_;

    $more = '' unless defined $more;

    return <<"END";
worker_processes 4;

http {
    gray_zone gray 1m state=state;

    upstream v1 { server 127.0.0.1:$v1; keepalive 8; }
    upstream v2 { server 127.0.0.1:$v2; keepalive 8; }

    proxy_http_version 1.1;
    proxy_set_header Connection "";

    gray_release app {
        zone gray;
        hash \$arg_uid;
        variant stable v1;
        variant canary v2 weight=5%;
        match canary \$http_user_agent ~* "(bot|crawler)/[0-9]+" name=bots;
        match canary \$remote_addr cidr 10.0.0.0/8 192.168.0.0/16 ::1/128;
    }

    gray_release declared {
        zone gray;
        hash \$arg_uid;
        variant off;
        variant on weight=$canary%;
    }

    $more

    server {
        listen 127.0.0.1:%%PORT%%;
        location / {
            proxy_pass http://app;
            add_header X-D "\$gray_declared \$gray_decisions";
        }
        location /gray/ { gray_admin; }
    }
}
END
}


my $t = Test::Gray->new(level => 'notice')->config(text(10))->start;
my $url = 'http://127.0.0.1:' . $t->port . '/?uid=load';

# wrk, where it is there, and a client that looks at every answer

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


my (%memory, %descriptors);


# what is malloc()ed, and on stacks

sub memory {
    my ($pid) = @_;

    return slurp("/proc/$pid/status") =~ /^RssAnon:\s+(\d+) kB/m ? $1 : 0;
}


sub descriptors {
    my ($pid) = @_;

    opendir my $dh, "/proc/$pid/fd" or return 0;
    return scalar grep { /^\d/ } readdir $dh;
}


# children of the master: among hundreds of workers that have ended there are
# some whose numbers others have by now

sub old_are_gone {
    return wait_until(sub { $t->workers == $t->worker_processes });
}


# a master has some of each worker, so once the old ones are gone

sub count_descriptors {
    old_are_gone();

    push @{ $descriptors{master} }, descriptors($t->master);
    push @{ $descriptors{worker} },
         (sort { $a <=> $b } map { descriptors($_) } $t->workers)[0];

    return;
}


sub documents {
    return join ' ', map { $t->api('GET', "/gray/releases/$_")->{body} }
                         qw(app declared);
}


# what is refused: by its text, and by a zone, when another one is already
# attached to

my $fault = 'invalid "variant" in gray_release "declared": '
            . '/variants/on/weight: 101 is not within 0 to 100 in ';

my @bad = (
    [ text(101), qr/^\Q$fault\E/ ],
    [ text(99, 'gray_zone late 32k;'
               . ' gray_release late { zone late; variant off; }'),
      qr/^gray_zone "late" is too small, it needs \d+k for what is declared$/
    ],
);

my ($refused, $lost, $mistaken, $tested) = (0, 0, 0, 0);
my $revision = 1;

for my $round (1 .. $reloads) {
    my $weight = $round % 2 ? 50 : 5;

    my $response = $t->insist('PATCH', '/gray/releases/app',
                              { variants => { canary => {
                                                  weight => $weight } } });

    $refused++ if $response->{status} != 200;
    $revision++;

    # nothing is changed by what is refused, nor by a test

    if ($round % 4 == 0) {
        my $before = documents();
        my ($text, $why) = @{ $bad[$round % 8 ? 0 : 1] };

        $t->config($text);
        $t->reload(refused => $why) or $mistaken++;

        my ($status, $said) = $t->test_config(text(10 + $round % 7));

        $mistaken++ if $status != 0 || $said !~ /test is successful$/;
        $mistaken++ if documents() ne $before;
        $tested++;
    }

    $t->config(text(10 + $round % 3));

    $t->reload or $refused++;

    # as many requests for each generation of workers before it is looked at

    my @answers = $t->many(100, sub { "/?uid=user-$_[0]" },
                           per_connection => 5);

    $lost++ if grep { $_->{status} != 200 } @answers;

    my $document = $t->api('GET', '/gray/releases/app')->{json};

    $lost++ if $document->{revision} != $revision
               || $document->{variants}{canary}{weight} != $weight;

    push @{ $memory{master} }, memory($t->master);
    push @{ $memory{worker} },
         (sort { $a <=> $b } map { memory($_) } $t->workers)[-1];
    count_descriptors() if $round == 1;
}

is($refused, 0, "$reloads changes and reloads");
is($lost, 0, 'each of them is in force');
is($mistaken, 0, "$tested that were refused, and as many tests, in between");

# the clients

kill 'USR1', $client;
ok(wait_until(sub { -s $t->dir . '/client' }), 'the client has ended');
$t->reap($client);

my ($count, $failed) = split ' ', $t->read_file('client');

cmp_ok($count, '>', $reloads, "the client has sent $count requests");
is($failed, 0, 'no request of a fresh connection has failed');

SKIP: {
    skip('no wrk', 3) unless $wrk;

    ok(alive($wrk), 'the load was there all the time');
    $t->reap($wrk, 'INT');

    my $said = $t->read_file("stderr.$wrk");

    my ($sent) = $said =~ /^\s*(\d+) requests in/m;
    cmp_ok($sent || 0, '>', $reloads, 'the load has sent '
                                      . ($sent || 'no') . ' requests');
    unlike($said, qr/Socket errors|Non-2xx/, 'none of the load has failed');
}

# what is left

ok(old_are_gone(), 'old workers are gone');

# with a sanitizer, memory that was freed is kept for a while; the bound is
# what is reached by 2k a reload, where there are 200

for my $who ($ENV{TEST_SANITIZER_LOG} ? () : sort keys %memory) {
    my @kb = @{ $memory{$who} };
    my $third = int(@kb / 3) || 1;
    my ($first, $last) = map { int(sum(@$_) / @$_) }
                         [ @kb[0 .. $third - 1] ], [ @kb[-$third .. -1] ];

    note("memory of the $who: $first kB, then $last kB");
    cmp_ok($last - $first, '<', 256, "memory of the $who is flat");
}

count_descriptors();

for my $who (sort keys %descriptors) {
    my ($first, $last) = @{ $descriptors{$who} }[0, -1];

    note("descriptors of the $who: $first, then $last");
    cmp_ok($last, '<=', $first + ($who eq 'worker' ? 4 : 0),
           "descriptors of the $who are flat");
}

$t->done;
