#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# The admin API: many clients change one release at the same time, and none
# of the changes is lost.

use strict;
use warnings;

use FindBin;
use Test::More;

use lib "$FindBin::Bin/lib";
use Test::Gray;
use Test::Gray::Process;


my ($clients, $rounds) = (4, 25);

my $t = Test::Gray->new->config(<<'END')->start;
worker_processes 4;

http {
    gray_zone  gray 1m;

    gray_release app {
        zone     gray;
        hash     $cookie_uid;
        variant  off;
        variant  v1 weight=0%;
        variant  v2 weight=0%;
        variant  v3 weight=0%;
        variant  v4 weight=0%;
    }

    server {
        listen  127.0.0.1:%%PORT%%;
        location /gray/ { gray_admin; }
    }
}
END

my $app = '/gray/releases/app';


# runs the code in so many processes; each says how often it has succeeded

sub together {
    my ($code) = @_;

    my @pipes;

    for my $client (1 .. $clients) {
        pipe my $from, my $to or die "pipe: $!\n";

        $t->child(sub {
            print $to $code->($client);
            close $to;
            POSIX::_exit(0);
        });

        push @pipes, $from;
    }

    return map { scalar(<$_>) || 0 } @pipes;
}


# each client turns a weight of its own

my @done = together(sub {
    my ($client) = @_;

    return scalar grep {
        $t->insist('PATCH', $app,
                   { variants => { "v$client" => { weight => $_ / 10 } } })
          ->{status} == 200
    } 1 .. $rounds;
});

my $document = $t->api('GET', $app)->{json};

is_deeply(\@done, [ ($rounds) x $clients ], 'merge patches: all are made');
is($document->{revision}, 1 + $rounds * $clients, 'each is a revision');
is_deeply([ map { $document->{variants}{"v$_"}{weight} } 1 .. $clients ],
          [ ($rounds / 10) x $clients ], 'none is lost');


# all clients count in the salt, on top of what they have read

sub count {
    my ($conditional) = @_;

    $t->api('PATCH', $app, { salt => '0' });

    my @lost = together(sub {
        my ($made, $lost) = (0, 0);

        while ($made < $rounds) {
            my $document = $t->api('GET', $app)->{json};
            my @headers;

            if ($conditional) {
                @headers = ('If-Match' => "\"$document->{revision}\"");
                delete $document->{revision};
            }

            $document->{salt}++;

            my $status = $t->insist('PUT', $app, $document, @headers)
                           ->{status};

            $made++ if $status == 200;
            $lost++ if $status == ($conditional ? 412 : 409);

            die "status $status\n" if $status !~ /^(?:200|412|409)$/;
        }

        return $lost;
    });

    return ($t->api('GET', $app)->{json}{salt}, @lost);
}

for my $conditional (0, 1) {
    my $name = $conditional ? 'If-Match' : 'revision';
    my ($count, @lost) = count($conditional);

    is($count, $rounds * $clients, "$name: nothing is overwritten");
    note("$name: attempts that were too late: @lost");
}

$t->done;
