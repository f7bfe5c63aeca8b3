#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# What counts for the guards of a rollout, to the last request: a plan with
# one guard of each kind, requests of which it is known what they are, and the
# numbers of both arms in GET .../rollout.  Limits are such that none fires.

use strict;
use warnings;

use FindBin;
use JSON::PP ();
use Test::More;

use lib "$FindBin::Bin/lib";
use Test::Gray;
use Test::Gray::Acting;
use Test::Gray::Process;
use Test::Gray::XXH64;

my $t = Test::Gray->new;

$t->daemon($_ => acting($_)) for qw(v1 v2);

my $releases = join '', map { <<"END" } qw(app key two);
    gray_release $_ {
        zone     gray;
        hash     \$arg_u;
        variant  stable up_stable;
        variant  canary up_canary;
        variant  third  up_canary;
    }
END

$t->write_file('static', 'static');
$t->write_file('page', '<!--#include virtual="/app/in?u=$arg_u" -->'
                       . '<!--#include virtual="/app/in?u=$arg_u" -->');

$t->config(<<"END")->start;
worker_processes 2;

http {
    gray_zone gray 8m;

    log_format times '\$http_x_do;\$upstream_header_time';
    log_subrequest on;
    access_log %%DIR%%/times.log times;

    proxy_cache_path %%DIR%%/cache keys_zone=cache:1m;

    upstream up_stable { server 127.0.0.1:%%PORT_v1%% max_fails=0; }
    upstream up_canary { server 127.0.0.1:%%PORT_v2%% max_fails=0; }
    upstream up_dead   { server 127.0.0.1:%%PORT_dead%% max_fails=0; }
    upstream up_none   { server 127.0.0.1:%%PORT_dead%%;
                         server 127.0.0.1:%%PORT_dead%%; }

$releases
    gray_release back {
        zone      gray;
        hash      \$arg_u;
        fallback  baseline;
        variant   stable up_stable;
        variant   canary up_dead;
        variant   third  up_canary;
    }

    gray_release none {
        zone     gray;
        hash     \$arg_u;
        variant  stable up_stable;
        variant  canary up_none;
        variant  third  up_canary;
    }

    gray_release look {
        zone      gray;
        hash      \$arg_u;
        variant   stable up_stable;
        variant   canary up_canary;
        variant   third  up_canary;
    }

    server {
        listen 127.0.0.1:%%PORT%% reuseport;

        location /app/        { proxy_pass http://app; }
        location /app/cached  { proxy_pass http://app; proxy_cache cache;
                                proxy_cache_key \$gray_app\$arg_u;
                                proxy_cache_valid 200 1h; }
        location /app/local   { return 503 "\$gray_app"; }
        location /app/page    { proxy_pass http://app;
                                proxy_intercept_errors on;
                                error_page 500 =200 /static; }
        location = /static    { root %%DIR%%; }
        location /app/ssi     { ssi on; ssi_types *; try_files /page =404;
                                root %%DIR%%; }
        location /app/auth    { auth_request /app/sub; root %%DIR%%;
                                try_files /static =404; }
        location = /app/sub   { internal; proxy_pass http://app; }
        location /app/next    { proxy_pass http://app;
                                proxy_next_upstream http_500; }

        location /key/        { proxy_pass http://key; }
        location /none/       { proxy_pass http://none; }
        location /back/       { proxy_pass http://back; }
        location /look/       { return 200 "\$gray_look"; }
        location /two/        { auth_request /two_auth;
                                proxy_pass http://two; }
        location = /two_auth  { internal; proxy_pass http://key;
                                proxy_set_header X-Do ""; }

        location = /pid       { return 200 \$pid; }
        location /gray/       { gray_admin; }
    }
}
END

# nothing goes on by itself, and no guard fires

my %plan = (
    variant => 'canary', hold => '1h', max_hold => '2h', warmup => '0s',
    steps => [{ weight => 50 }, { weight => 40 }, { weight => 60 }],
    guards => [
        { name => 'ratio', bad => ['5xx', '499'], max_ratio => 1000,
          floor => 0.99 },
        { name => 'client', bad => '4xx', max_ratio => 1000, floor => 0.99 },
        { name => 'max', bad => ['5xx', '499'], max => 0.999 },
        { name => 'slow', slower_than => '400ms', max => 0.999 },
        { name => 'share', sample_ratio => JSON::PP::true() },
    ],
);

my @rules = (
    { when => { '$arg_t' => 'canary' }, variant => 'canary' },
    { when => { '$arg_t' => 'stable' }, variant => 'stable' },
    { when => { '$arg_t' => 'third' }, variant => 'third' },
    { name => 'spread', when => { '$arg_t' => 'spread' },
      weights => { canary => 100 } },
);

# of each release and guard: requests and bad ones of both arms, ever

my %counts;


# -- what is decided

sub bucket {
    my ($key, $salt) = @_;

    my $hash = unpack 'Q<', pack 'q<', xxh64($key, xxh64($salt, 0));
    my $low = ($hash & 0xffffffff) * 1_000_000 >> 32;

    return (($hash >> 32) * 1_000_000 + $low) >> 32;
}


# the arm of a key, by what the document says

sub arm {
    my ($release, $key) = @_;

    my $bucket = bucket($key, $release);
    my $segments = document($release)->{allocation}{canary} || [];

    return (grep { $bucket >= $_->[0] && $bucket < $_->[1] } @$segments)
           ? 'canary' : 'baseline';
}


sub document { return $t->api(GET => "/gray/releases/$_[0]")->{json} }


# so many keys of an arm that were not given before

my %given;

sub keys_of {
    my ($release, $arm, $n) = @_;

    my $bare = document($release)->{allocation}{canary};
    my @keys;

    while (@keys < $n) {
        my $key = 'u' . $given{$release}++;
        my $bucket = bucket($key, $release);
        my $in = grep { $bucket >= $_->[0] && $bucket < $_->[1] } @$bare;

        push @keys, $key if $arm eq ($in ? 'canary' : 'baseline');
    }

    return @keys;
}


# -- what is counted

sub start {
    my ($release, %more) = @_;

    my $path = "/gray/releases/$release";
    my $made = $t->api(PATCH => $path, { rollout => { %plan, %more },
                                         rules => \@rules });

    die "no plan: $made->{body}\n" if $made->{status} != 200;

    my $started = $t->api(POST => "$path/rollout/start");

    is($started->{status}, 200, "$release: started");

    $counts{$release} = { map { $_->{name} => {
        canary => [0, 0], baseline => [0, 0] } } @{ $plan{guards} } };

    counted($release, 'nothing yet');

    # limits of times are known after a tick

    ticks($release, 2);

    return;
}


sub see { return $t->api(GET => "/gray/releases/$_[0]/rollout")->{json} }


sub ticks {
    my ($release, $n) = @_;

    my $held = see($release)->{held_seconds} || 0;

    wait_until(sub { see($release)->{held_seconds} >= $held + $n })
        or die "no ticks\n";

    return;
}


# what a case adds to an arm: n and bad ones by guards, "ratio" 3 of 5

sub add {
    my ($release, $arm, %guards) = @_;

    for my $name (keys %guards) {
        my $count = $counts{$release}{$name}{$arm};

        $count->[$_] += $guards{$name}[$_] for 0, 1;
    }

    return;
}


# placed by weight: for all guards, or testers: for those of the variant

sub drawn {
    my ($release, $arm, $n, %bad) = @_;

    add($release, $arm, map { $_ => [ $n, $bad{$_} || 0 ] }
                        qw(ratio client max slow));
    add($release, $arm, share => [ $n, 0 ]);

    return;
}


sub placed {
    my ($release, $arm, $n, %bad) = @_;

    add($release, $arm, map { $_ => [ $n, $bad{$_} || 0 ] } qw(max slow));

    return;
}


# where the machine stands still, requests are slow that are not meant to be:
# how many that were so far, by the log

my $unmeant = 0;

sub unmeant {
    return scalar grep { !/^v\d (?:late|held);/
                         && grep({ $_ > 0.4 } /(\d+\.\d+)/g) }
                  split /\n/, $t->read_file('times.log');
}


# what is wanted, where up to so many of them have come to what is found

sub slowed {
    my ($wanted, $found, $most) = @_;

    my %slow = %{ $wanted->{slow} };

    for my $arm (keys %slow) {
        my ($n, $bad) = @{ $slow{$arm} };
        my $more = $found->{slow}{$arm}[1] - $bad;

        $slow{$arm} = [ $n, $bad + $more ] if $more > 0 && $more <= $most;
    }

    return { %$wanted, slow => \%slow };
}


# the numbers become right, and stay so: cases that follow would show it

sub counted {
    my ($release, $name) = @_;

    my ($wanted, $found);

    wait_until(sub {
        my $more = unmeant() - $unmeant;

        $found = found($release);
        $wanted = slowed($counts{$release}, $found, $more);

        return text_of($found) eq text_of($wanted);
    });

    $unmeant = unmeant();

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    is(text_of($found), text_of($wanted), "$release: $name");

    # one wrong case is one

    $counts{$release} = $found;

    return;
}


sub found {
    my ($release) = @_;

    return { map {
        my $counts = $_->{counts};

        $_->{name} => { map { $_ => [ $counts->{$_}{requests} || 0,
                                      $counts->{$_}{bad} || 0 ] }
                        qw(canary baseline) };
    } @{ see($release)->{guards} } };
}


sub text_of {
    my ($counts) = @_;

    return join '; ', map {
        my $guard = $_;

        "$guard: " . join ', ', map {
            "$_ $counts->{$guard}{$_}[1] of $counts->{$guard}{$_}[0]"
        } qw(canary baseline);
    } sort keys %$counts;
}


my %upstream = (canary => 'v2', baseline => 'v1');

# requests of a release, each of another key of the arm

sub ask {
    my ($release, $arm, $n, $do, $more, $place) = @_;

    my @keys = keys_of($release, $arm, $n);
    my @headers = $do ? ('X-Do' => "$upstream{$arm} $do") : ();

    $more = '' unless defined $more;
    $place = '' unless defined $place;

    return $t->many($n, sub {
        return ("/$release/$place?u=$keys[$_[0]]$more", @headers);
    }, per_connection => 4);
}


# a case, on both arms

sub both {
    my ($name, $code) = @_;

    $code->($_) for qw(canary baseline);

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    counted('app', $name);

    return;
}


# -- requests are the unit

start('app', unit => 'request');

both('answers', sub {
    ask('app', @_, 10);
    drawn('app', @_, 10);
});

both('errors, of server and client', sub {
    ask('app', @_, 3, '500');
    drawn('app', @_, 3, ratio => 3, max => 3);
    ask('app', @_, 2, '404');
    drawn('app', @_, 2, client => 2);
});

both('slow ones', sub {
    ask('app', @_, 2, 'late');
    drawn('app', @_, 2, slow => 2);
});

both('no answer is an error, and has no time', sub {
    ask('app', @_, 1, 'close');
    drawn('app', @_, 1, ratio => 1, max => 1);
    add('app', @_, slow => [-1, 0]);
});

both('a client that is gone, without an answer', sub {
    gone(@_, 'silent');
    drawn('app', @_, 1, ratio => 1, max => 1);
    add('app', @_, slow => [-1, 0]);
});

both('a stream is an answer, and has no time', sub {
    gone(@_, 'events');
    drawn('app', @_, 1);
    add('app', @_, slow => [-1, 0]);
});

both('what nginx answers itself', sub { ask('app', @_, 2, '', '', 'local') });

both('what a cache answers', sub {
    my ($key) = keys_of('app', @_, 1);

    # one worker, to which it is there once it was sent

    my $connection = $t->http->connect;

    $connection->get("/app/cached?u=$key") for 1 .. 3;
    drawn('app', @_, 1);
});

both('error_page hides nothing', sub {
    ask('app', @_, 2, '500', '', 'page');
    drawn('app', @_, 2, ratio => 2, max => 2);
});

both('two subrequests of a request', sub {
    ask('app', @_, 2, '', '', 'ssi');
    drawn('app', @_, 2);
});

both('auth_request', sub {
    ask('app', @_, 2, '500', '', 'auth');
    drawn('app', @_, 2, ratio => 2, max => 2);
});

both('placed by a rule', sub {
    my $rule = '&t=' . ($_[0] eq 'canary' ? 'canary' : 'stable');

    ask('app', @_, 4, '', $rule);
    ask('app', @_, 2, '500', $rule);
    placed('app', @_, 6, max => 2);
});

ask('app', 'baseline', 3, '', '&t=third');
counted('app', 'of another variant');

ask('app', 'baseline', 3, '', '&t=spread');
placed('app', 'canary', 3);
counted('app', 'placed by the weights of a rule');

$t->get('/app/') for 1 .. 3;
placed('app', 'baseline', 3);
counted('app', 'without a key');


# -- each worker

my $workers = $t->http->each_worker(2, '/pid');

for my $pid (sort keys %$workers) {
    $workers->{$pid}->get('/app/?u=' . (keys_of('app', 'canary', 1))[0])
        for 1 .. 5;
    drawn('app', 'canary', 5);
    counted('app', 'by one of the workers');
}


# -- what was decided in the step before

unlink $t->dir . '/let_go';

my @held = map { held($_) } qw(canary baseline);

# which are decided by now

wait_until(sub {
    my $variants = $t->api(GET => '/gray/releases/app/stats')->{json}{variants};

    return 2 <= grep { $_->{live} } values %$variants;
});

is($t->api(POST => '/gray/releases/app/rollout/promote')->{status}, 200,
   'another step');
wait_until(sub { my $is = see('app'); $is->{step} == 2 && !$is->{pending} });

ask('app', 'canary', 5);
drawn('app', 'canary', 5);
counted('app', 'a new step');

$t->write_file('let_go', '');
$_->receive for @held;
placed('app', $_, 1, max => 1, slow => 1) for qw(canary baseline);
counted('app', 'of the step before');


# -- a revision within a step

is($t->api(PATCH => '/gray/releases/app', { rules => [] })->{status}, 200,
   'the rules are changed');
ask('app', 'baseline', 5, '', '&t=canary');
drawn('app', 'baseline', 5);
counted('app', 'of a revision that is not of the rollout');


# -- where the baseline answers, and where nobody is there at all

start($_, unit => 'request') for qw(back none);

ask($_, 'canary', 6) for qw(back none);

for my $release (qw(back none)) {
    drawn($release, 'canary', 6, ratio => 6, max => 6);
    add($release, 'canary', slow => [-6, 0]);
    counted($release, 'no peer answers');
}


# -- a variable alone

start('look', unit => 'request');
like((ask('look', 'canary', 3))[0]{body}, qr/^canary$/, 'a variable');
counted('look', 'a decision that leads nowhere');


# -- keys are the unit

start('key');

my %sampled;

# of a key, one bad request counts, for each guard, and a part of the keys is
# there for the share

sub fresh {
    my ($arm, $n, $do, %bad) = @_;

    my ($key) = keys_of('key', $arm, 1);

    again($arm, $key, $n, $do, %bad);

    return $key;
}


sub again {
    my ($arm, $key, $n, $do, %bad) = @_;

    my @headers = length $do ? ('X-Do' => "$upstream{$arm} $do") : ();

    $t->get("/key/?u=$key", @headers) for 1 .. $n;

    my $sampled = sampled($key) && !$sampled{$key}++;

    drawn('key', $arm, $n, %bad);
    add('key', $arm, share => [ ($sampled ? 1 : 0) - $n, 0 ]);

    return;
}


sub sampled {
    my ($key) = @_;

    my $hash = unpack 'Q<', pack 'q<', xxh64($key, xxh64('key', 0));

    # the lowest bits of what SplitMix64 makes of it

    for ([ 30, 13787848793156543929 ], [ 27, 10723151780598845931 ]) {
        my ($shift, $factor) = @$_;

        $hash ^= $hash >> $shift;
        $hash = unpack 'Q<', pack 'q<', product($hash, $factor);
    }

    return (($hash ^ $hash >> 31) & 15) == 0;
}


sub product {
    use integer;

    return $_[0] * $_[1];
}


for my $arm (qw(canary baseline)) {
    my $key = fresh($arm, 5, '500', ratio => 1, max => 1);

    again($arm, $key, 2, '404', client => 1);
    again($arm, $key, 2, 'late', slow => 1);
    again($arm, $key, 2, '');
    counted('key', "$arm: of a key, the first one of each kind");

    again($arm, $key, 2, '500');
    again($arm, $key, 1, 'late');
    counted('key', "$arm: and no other one");

    fresh($arm, 2, '') for 1 .. 40;
    counted('key', "$arm: of the share, new keys");
}

# the same key, on another arm

my ($moves) = grep { bucket($_, 'key') >= 500_000 && bucket($_, 'key') < 600_000 }
              map { "m$_" } 1 .. 100;

is(arm('key', $moves), 'baseline', 'a key of the baseline');
again('baseline', $moves, 2, '500', ratio => 1, max => 1);
counted('key', 'is bad');

for my $step (2, 3) {
    $t->api(POST => '/gray/releases/key/rollout/promote');
    wait_until(sub { my $is = see('key');
                     $is->{step} == $step && !$is->{pending} });
}

is(arm('key', $moves), 'canary', 'is one of the canary now');
again('canary', $moves, 2, '500');
counted('key', 'where it is not bad again');


# -- two releases in a request

start('two', unit => 'request');

my ($both) = grep { arm('key', $_) eq 'canary' && arm('two', $_) eq 'canary' }
             map { "b$_" } 1 .. 100;

$t->get("/two/?u=$both", 'X-Do' => 'v2 500');
drawn('two', 'canary', 1, ratio => 1, max => 1);
drawn('key', 'canary', 1);
add('key', 'canary', share => [ (sampled($both) ? 1 : 0) - 1, 0 ]);
counted($_, 'two releases in one request') for qw(two key);

$t->done;


# a client that does not wait for the answer

sub gone {
    my ($arm, $do) = @_;

    my $connection = begun($arm, $do);

    acted($t, "$upstream{$arm} $do");
    $connection->head if $do eq 'events';

    undef $connection;

    return;
}


sub held { return begun($_[0], 'held') }


sub begun {
    my ($arm, $do) = @_;

    my ($key) = keys_of('app', $arm, 1);
    my $connection = $t->http->connect;

    $connection->send(Test::Gray::HTTP::request_text('GET', "/app/?u=$key",
                      [ 'X-Do' => "$upstream{$arm} $do" ]));

    return $connection;
}
