#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# The admin API: a change that comes too late each time, as others change the
# release without a pause, and what ends while it waits for another attempt.

use strict;
use warnings;

use FindBin;
use Test::More;

use lib "$FindBin::Bin/lib";
use Test::Gray;
use Test::Gray::Process;


my $t = Test::Gray->new->config(<<'END')->start;
worker_processes         2;
worker_shutdown_timeout  1ms;

http {
    gray_zone  gray 1m;

    keepalive_requests       1000000;
    client_body_buffer_size  256k;

    gray_release app {
        zone     gray;
        hash     $cookie_uid;
        variant  off;
        variant  on weight=0%;
    }

    server {
        listen  127.0.0.1:%%PORT%%;
        location /gray/ { gray_admin; }
    }
}
END

my $app = '/gray/releases/app';

# a document that takes long to be judged, for its patterns

my $large = {
    baseline => 'off',
    hash     => [ '$cookie_uid' ],
    variants => { off => {}, on => { weight => 0 } },
    rules    => [ map { { when    => { '$arg_a' => { regex =>
                                       "(a|b)-$_+[a-z]{1,20}" x 10 } },
                          variant => 'on' } } 1 .. 100 ]
};


# -- requests of a connection that stays

sub text {
    my ($method, $path, $data, @headers) = @_;

    push @headers, 'Content-Type' => 'application/json' if $data;

    return Test::Gray::HTTP::request_text($method, $path, \@headers,
               $data && JSON::PP::encode_json($data));
}


sub ask {
    my ($connection, @request) = @_;

    my $response = $connection->send(text(@request))->receive
        or die "closed without a response\n";

    $response->{json} = eval { JSON::PP::decode_json($response->{body}) };
    return $response;
}


# sends the large one, and returns when its worker has it

sub begin {
    my ($connection, $path) = @_;

    my ($head, $body) = text('PUT', $path, $large, Expect => '100-continue')
                        =~ /\A(.*?\r\n\r\n)(.*)\z/s;

    $connection->send($head);
    $connection->line =~ m{^HTTP/1\.1 100 } or die "not continued\n";
    $connection->line;
    $connection->send($body);

    return;
}


# a connection to that worker, or to any; of those that come at the same time
# each worker gets some

sub connection {
    my ($wanted) = @_;
    my $found;

    wait_until(sub {
        for my $new (map { $t->http('', timeout => 100)->connect } 1 .. 8) {
            my $pid = ask($new, 'GET', '/gray/status')->{json}{pid};

            $found = $new if $pid == ($wanted || $pid);
        }

        return $found;
    })
    or die "no connection to worker $wanted\n";

    return $found;
}


# changes without a pause, by the first worker, until the code is done; returns
# how many were made, and how many were not

my ($first, $second) = $t->workers;

sub meanwhile {
    my ($code) = @_;

    my $connection = connection($first);

    pipe my $from, my $to or die "pipe: $!\n";

    my $writer = $t->child(sub {
        my ($over, $made, $failed) = (0, 0, 0);

        $SIG{USR1} = sub { $over = 1 };
        $to->autoflush;
        print $to "ready\n";

        for (my $n = 0; !$over; $n++) {
            my $response = ask($connection, 'PATCH', $app, { salt => "s$n" });

            $response->{status} == 200 ? $made++ : $failed++;
        }

        print $to "$made $failed\n";
        POSIX::_exit(0);
    });

    close $to;
    scalar <$from>;

    $code->();

    kill 'USR1', $writer;

    return split ' ', scalar <$from>;
}


# -- too late until it is given up.  It might come in between where the others
# are not run for long, so they come first, and there are several goes

setpriority 0, $second, 10;

my $connection = connection($second);
my $late;

my ($made, $failed) = meanwhile(sub {
    for (1 .. 20) {
        $late = ask($connection, 'PUT', $app, $large);
        last if $late->{status} == 503;
        ask($connection, 'DELETE', $app);
    }
});

is($late->{status}, 503, 'always too late');
is($late->{headers}{'retry-after'}, 1, 'Retry-After');
is($late->{headers}{'content-type'}, 'application/problem+json', 'problem');
like($late->{json}{detail},
     qr/^others change the release all the time, \d+ attempts were too late$/,
     'why');
note("$made changes, $late->{json}{detail}");

is($failed, 0, 'those of the others are made');

my $document = $t->api('GET', $app)->{json};

is_deeply($document->{rules}, [], 'nothing was changed by the one');
like($document->{salt}, qr/^s\d+$/, 'the last one is in force');

is(ask($connection, 'PUT', $app, $large)->{status}, 200, 'alone it succeeds');
is(ask($connection, 'DELETE', $app)->{status}, 200, 'and is undone');


# -- the client is gone while the change waits: it goes on.  Then the worker
# ends while one waits, and the change with it

my $answered;

($made, $failed) = meanwhile(sub {
    my $gone = connection($second);

    begin($gone, '/gray/releases/%61pp');
    close $gone->{socket};

    ok($t->wait_log(qr{gray: .*"PUT /gray/releases/%61pp}),
       'the client has hung up: the change ends');
    is(ask($connection, 'DELETE', $app)->{status}, 200, 'the worker goes on');

    for (1 .. 20) {
        begin($connection, $app);
        kill 'QUIT', $second;

        $answered = $connection->more;

        ok(wait_until(sub { !alive($second) && $t->workers == 2 }),
           'the worker ends, another one is there');
        ok($t->wait_log(qr/worker process $second exited with code 0/),
           'it has ended in peace');

        ($second) = grep { $_ != $first } $t->workers;
        setpriority 0, $second, 10;

        last unless $answered;

        $connection = connection($second);
        ask($connection, 'DELETE', $app);
    }
});

ok(!$answered, 'a change that waits has no answer then');
is($failed, 0, 'the others do not notice');
is($t->api('PUT', $app, $large)->{status}, 200, 'changes are made');

$t->done;
