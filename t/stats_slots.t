#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# Variants that come and go find their counters, in every worker: also in one
# that compiled a revision while another had the zone's lock; requests that
# end after their variant has lost its place are not counted for another one.

use strict;
use warnings;

use FindBin;
use IO::Select;
use JSON::PP ();
use Test::More;

use lib "$FindBin::Bin/lib";
use Test::Gray;
use Test::Gray::Halt;
use Test::Gray::Process;

my $t = Test::Gray->new->config(<<'END')->start;
worker_processes 2;

http {
    gray_zone gray 2m;

    upstream v1 { server 127.0.0.1:%%PORT_backend%%; }

    gray_release app {
        zone     gray;
        hash     $arg_uid;
        variant  stable v1;
        variant  first v1 weight=0%;
    }

    server {
        listen 127.0.0.1:%%PORT%%;
        listen 127.0.0.1:%%PORT_each%% reuseport;

        location / { proxy_pass http://app; }
        location = /pid { return 200 $pid; }
        location /gray/ { gray_admin; }
    }

    server {
        listen 127.0.0.1:%%PORT_backend%%;
        location / { return 200 "hello"; }
        location = /slow {
            limit_rate 1;
            return 200 "so long that it is under way until the client goes";
        }
    }
}
END

my $app = '/gray/releases/app';
my $last = 'first';


# the second variant is another one, and gets all that a rule matches

sub change {
    my ($name) = @_;

    my $change = {
        variants => { $last => undef,
                      $name => { upstream => 'v1', weight => 0 } },
        rules => [ { when => { '$arg_rule' => '1' }, variant => $name } ],
    };

    $last = $name;

    return $change;
}


sub variants { return $t->api('GET', "$app/stats")->{json}{variants} }


sub requests {
    my ($name) = @_;

    my $variant = variants()->{$name};

    return $variant && defined $variant->{requests} ? $variant->{requests} : -1;
}


is($t->api('PATCH', $app, change($_))->{status}, 200, "a variant \"$_\"")
    for qw(second third);

$t->get('/?rule=1') for 1 .. 10;

ok(wait_until(sub { requests('third') == 10 }), 'the third is counted');


# under way, as the variant goes and its place is taken, by the second one that
# comes after: it is the oldest then

my $slow = $t->http->connect;

$slow->send(Test::Gray::HTTP::request_text('GET', '/slow?rule=1', []));

ok(wait_until(sub { variants()->{third}{live} == 1 }), 'one is under way');

for my $name (qw(fourth fifth)) {
    is($t->api('PATCH', $app, change($name))->{status}, 200,
       "a variant \"$name\"");
    $t->get('/?rule=1') for 1 .. 20;
    ok(wait_until(sub { requests($name) == 20 }), 'is counted, by all workers');
}

undef $slow;

ok(wait_until(sub { requests('_other') == 1 }),
   'the request that was under way is one of no variant');
is(requests('fifth'), 20, 'not of that which has the place now');
is($_->{live}, 0, 'nothing is under way') for values %{ variants() };


# the lock is in the hands of a worker that is halted

SKIP: {
    my ($worker) = $t->workers;

    skip('no worker can be halted here', 1)
        if $ENV{TEST_NGINX_WRAPPER}
           || !can_halt($worker, 'ngx_http_gray_shm_unlock');

    my ($revision, $other);

    # a tick may come there first: then there is no new revision

    for my $name (qw(sixth seventh eighth ninth tenth eleventh)) {
        ($worker, my $connection) =
            %{ $t->http('each')->each_worker(2, '/pid') };

        $revision = $t->api('GET', $app)->{json}{revision};

        # all places are taken: the next name needs that of another one

        halt_at($worker, 'ngx_http_gray_shm_unlock');

        $connection->send(Test::Gray::HTTP::request_text(
            'PATCH', $app, [ 'Content-Type' => 'application/json' ],
            JSON::PP::encode_json(change($name))));

        ok(wait_halted($worker), 'a worker stands still, with the lock');

        $other = other($worker);
        last if get($other, $app)->{json}{revision} > $revision;

        $t->kill_worker('KILL', $worker);
    }

    is(get($other, $app)->{json}{revision}, $revision + 1,
       'another revision is in force');

    my $before = get($other, "$app/stats")->{json}{variants};

    is($before->{$last}{requests}, undef, 'whose variant has no place');

    get($other, '/?rule=1') for 1 .. 5;

    is(get($other, "$app/stats")->{json}{variants}{_other}{requests}, 6,
       'and is counted with others');

    $t->kill_worker('KILL', $worker);

    # it looks again, every second

    ok(wait_until(sub {
        get($other, '/?rule=1');
        return requests($last) > 0;
    }), 'it has one when that is dead');
}

$t->done;


sub get {
    my ($connection, $path) = @_;

    $connection->send(Test::Gray::HTTP::request_text('GET', $path, []));

    my $response = $connection->receive('GET');

    $response->{json} = eval { JSON::PP->new->decode($response->{body}) };

    return $response;
}


# a connection to the worker that is not halted

sub other {
    my ($halted) = @_;

    for (1 .. 200) {
        my $connection = $t->http('each')->connect;

        $connection->send(Test::Gray::HTTP::request_text('GET', '/pid', []));

        next unless IO::Select->new($connection->{socket})->can_read(0.2);

        return $connection
            if $connection->receive('GET')->{body} ne $halted;
    }

    die "no other worker answers\n";
}
