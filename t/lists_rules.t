#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# Rules that use lists: in force in all workers and on all connections when a
# PUT is answered, whichever comes first, the list or the rule; and what is
# refused because a rule uses a list.

use strict;
use warnings;

use FindBin;
use Test::More;

use lib "$FindBin::Bin/lib";
use Test::Gray;
use Test::Gray::Process;

my $rounds = $ENV{TEST_NGINX_WRAPPER} ? 5 : $ENV{TEST_SANITIZER_LOG} ? 20 : 60;

my $t = Test::Gray->new->config(<<'END')->start;
worker_processes 3;

http {
    gray_zone gray 1m state=state;
    gray_zone other 1m;

    gray_release app {
        zone     gray;
        hash     $arg_uid;
        variant  off;
        variant  on weight=0%;
    }

    gray_release early {
        zone     gray;
        variant  off;
        variant  on weight=0%;
        match    on $arg_uid in_list later name=later;
    }

    gray_release without {
        zone     other;
        variant  off;
        variant  on weight=0%;
    }

    server {
        listen 127.0.0.1:%%PORT%% reuseport;

        location = /on    { return 200 "$gray_app $pid"; }
        location = /early { return 200 "$gray_early"; }
        location /gray/   { gray_admin; }
    }
}
END


sub put {
    my ($name, $body) = @_;

    return $t->api('PUT', "/gray/lists/$name", $body,
                   'Content-Type' => 'text/plain');
}


sub rule {
    my ($test, $release) = @_;

    my $rules = [ ref $test ? { variant => 'on', when => $test } : () ];

    return $t->api('PATCH', '/gray/releases/' . ($release || 'app'),
                   { rules => $rules });
}


# what workers say, by new connections and by old ones

my @old = map { $t->http->connect } 1 .. 12;
my %pids;

sub decided {
    my ($query, @headers) = @_;

    my %said;

    for ($t->http->many(24, sub { ("/on?$query", @headers) },
                        per_connection => 2))
    {
        my ($variant, $pid) = split ' ', $_->{body};
        $said{$variant}++;
        $pids{$pid}++;
    }

    for (@old) {
        $_->send(Test::Gray::HTTP::request_text('GET', "/on?$query",
                                                [ @headers ]));
        $said{ (split ' ', $_->receive->{body})[0] }++;
    }

    return join '|', sort keys %said;
}


# -- a list that there is not

my $answer = rule({ '$arg_uid' => { in_list => 'vip' } });

is($answer->{status}, 422, 'no such list');
is($answer->{json}{errors}[0]{pointer}, '/rules/0/when/$arg_uid/in_list',
   'pointer');
is($answer->{json}{errors}[0]{detail}, 'no list "vip"; there are none',
   'detail');

put('texts', "a\n\nb\n10.0.0.1\n");

$answer = rule({ '$arg_uid' => { cidr_list => 'nets' } });
is($answer->{json}{errors}[0]{detail}, 'no list "nets"; there are texts',
   'the lists that there are');

$answer = rule({ '$arg_uid' => { cidr_list => 'texts' } });
is($answer->{status}, 422, 'a list of texts');
like($answer->{json}{errors}[0]{detail}, qr/not one of networks, its line 1/,
     'detail');

$answer = rule({ '$arg_uid' => { in_list => 'texts' } }, 'without');
is($answer->{status}, 422, 'a zone without state');
like($answer->{json}{errors}[0]{detail},
     qr/lists need "state=DIR" of gray_zone "other"/, 'detail');


# -- in_list

is(rule({ '$arg_uid' => { in_list => 'texts' } })->{status}, 200, 'in_list');

for ([ 'a', 'on' ], [ 'b', 'on' ], [ '10.0.0.1', 'on' ], [ 'c', 'off' ],
     [ 'A', 'off' ], [ '', 'off' ], [ 'ab', 'off' ], [ '10.0.0', 'off' ])
{
    is(decided("uid=$_->[0]"), $_->[1], "in_list: \"$_->[0]\"");
}

my $wrong = 0;

for my $round (1 .. $rounds) {
    my $status = put('texts', $round % 7 ? "u$round\nfoo\n" : '')->{status};

    $wrong++ if $status != 200;
    $wrong++ if decided("uid=u$round") ne ($round % 7 ? 'on' : 'off');
    $wrong++ if decided('uid=u' . ($round - 1)) ne 'off';
}

is($wrong, 0, "$rounds times in force when answered");
cmp_ok(scalar(keys %pids), '==', 3, 'in all workers');

put('texts', "a\n");
rule({ not => { '$arg_uid' => { in_list => 'texts' } } });

is(decided('uid=a'), 'off', 'not in_list');
is(decided('uid=b'), 'on', 'not in_list, another one');


# -- cidr_list

is(put('nets', "10.0.0.0/8\n2001:db8::/32\n192.0.2.7\n")->{status}, 201,
   'networks');
is(rule({ '$http_x_ip' => { cidr_list => 'nets' } })->{status}, 200,
   'cidr_list');

for ([ '10.1.2.3', 'on' ], [ '11.0.0.1', 'off' ], [ '192.0.2.7', 'on' ],
     [ '192.0.2.8', 'off' ], [ '2001:db8::1', 'on' ],
     [ '2001:db9::1', 'off' ], [ '::ffff:10.0.0.1', 'on' ],
     [ 'nowhere', 'off' ])
{
    is(decided('', 'X-IP' => $_->[0]), $_->[1], "cidr_list: $_->[0]");
}

$answer = put('nets', "10.0.0.0/8\n\nnowhere\n");

is($answer->{status}, 422, 'an entry that is no network');
like($answer->{json}{detail},
     qr/^line 3 is no address.*release "app" uses it/, 'detail');
is(put('nets?dry_run=1', "x\n")->{status}, 422, 'dry run');
is(decided('', 'X-IP' => '10.1.2.3'), 'on', 'nothing was changed');

is(put('nets', '')->{status}, 200, 'an empty list');
is(decided('', 'X-IP' => '10.1.2.3'), 'off', 'has nobody');


# -- a list that is used stays

$answer = $t->api('DELETE', '/gray/lists/nets');

is($answer->{status}, 409, 'DELETE');
is($answer->{json}{errors}[0]{pointer},
   '/rules/0/when/$http_x_ip/cidr_list', 'pointer');
is($answer->{json}{errors}[0]{detail}, 'release "app" uses it', 'detail');
is($t->api('DELETE', '/gray/lists/nets?dry_run=1')->{status}, 409, 'dry run');
is($t->api('DELETE', '/gray/lists/texts')->{status}, 200, 'another one');

rule('none');
is($t->api('DELETE', '/gray/lists/nets')->{status}, 200, 'used no more');


# -- a rule that is there before its list, as nginx.conf declares it

like($t->log, qr/release "early": no list "later".*rules do not hold/,
     'a log line');
is($t->get('/early?uid=x')->{body}, 'off', 'no list: the rule does not hold');
is(put('later', "x\n")->{status}, 201, 'the list');

my %said = map { $_->{body} => 1 }
           $t->http->many(30, sub { '/early?uid=x' }, per_connection => 2);

is_deeply([ keys %said ], [ 'on' ], 'it holds at once');

is($t->api('DELETE', '/gray/lists/later')->{status}, 409, 'it is used');

$t->stop;
$t->start;
is($t->get('/early?uid=x')->{body}, 'on', 'after a restart');
is($t->get('/early?uid=y')->{body}, 'off', 'and only for those who are in it');

$t->done;
